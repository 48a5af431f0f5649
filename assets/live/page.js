// The two exhibits of the page "Try it": a digit under a lamp, and the landscape of scalar codes.

"use strict";

const { SIDE, PIXELS } = demodEngine;
const STEP = (6 * 2) / PIXELS; // of the setting of ReLU priors, in units of (2)
const MOMENTUM = 0.9;
const WALK = { name: "Algorithm 1", colour: "#0072B2", iterations: 500 };
const JUMP = { name: "Gauss–Newton", colour: "#E69F00", iterations: 30 };
const CURVES = ["#0072B2", "#D55E00", "#E69F00", "#CC79A7"];
const BRUSH = 5; // pixels
const STROKES = [
  "M32 11C20 11 17 22 17 32C17 43 21 53 32 53C43 53 47 43 47 32C47 22 44 11 32 11", "M26 19L34 12L34 53",
  "M19 22C20 12 44 8 45 22C46 32 26 42 19 52L46 52", "M20 15C30 8 46 12 42 24C40 30 34 31 29 31C40 31 47 36 44 45C40 55 25 55 18 48",
  "M38 53L38 12L17 39L48 39", "M44 12L23 12L21 29C32 25 45 29 44 41C43 54 25 56 18 48",
  "M41 12C28 16 19 30 20 42C21 56 43 56 44 42C44 30 26 29 21 39", "M18 13L46 13C38 26 32 38 29 53",
  "M32 31C20 27 20 12 32 12C44 12 44 27 32 31C17 35 17 53 32 53C47 53 47 35 32 31", "M43 24C43 36 22 36 22 24C22 9 43 9 43 24C43 36 40 46 32 53",
];

const $ = (name) => document.getElementById(`live-${name}`);
const nextFrame = () => new Promise((done) => { setTimeout(done, 0); });
const ink = (element) => getComputedStyle(element).color;

function decoded(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Kind(bytes.buffer);
}

function prior({ size, hidden, gain, first, firstScale, last, lastScale, centre }) {
  const [a, b] = [decoded(firstScale, Float32Array), decoded(lastScale, Float32Array)];
  return new demodEngine.Prior({
    size,
    hidden,
    first: Float64Array.from(decoded(first, Int8Array), (q, at) => gain * (q * a[Math.floor(at / size)])),
    last: Float64Array.from(decoded(last, Int8Array), (q, at) => q * b[at % b.length]),
    centre: decoded(centre, Float32Array),
  });
}

// A code as the training images have them: N(c, (1 − ‖c‖²/n) I).
function startingCode({ centre, size }, normal) {
  const spread = Math.sqrt(1 - demodEngine.norm(centre) ** 2 / size);
  return Float64Array.from(centre, (c) => c + spread * normal());
}

// --- a digit under a lamp

const exhibit = { run: 0, start: 1, curves: [] };

function paint(canvas, image) {
  const peak = Math.max(1, ...image);
  const pixels = new ImageData(SIDE, SIDE);
  image.forEach((value, i) => pixels.data.set([...Array(3).fill(Math.max(0, (255 * value) / peak)), 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function drawDigit(digit) {
  const context = $("draw").getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, SIDE, SIDE);
  Object.assign(context, { lineWidth: BRUSH, lineCap: "round", lineJoin: "round", strokeStyle: "#000" });
  if (digit !== "") {
    const smaller = new DOMMatrix([0.85, 0, 0, 0.85, 4.8, 4.8]); // with the margin that digits of MNIST have
    const path = new Path2D();
    path.addPath(new Path2D(STROKES[digit]), smaller);
    context.stroke(path);
  }
  changed();
}

// The drawing as a camera sees it, not quite sharp: each pixel takes a half, and a quarter of each neighbour, both ways.
function softened(image) {
  const blurred = (from, step, limit) => from.map((value, i) => {
    const at = Math.floor(i / step) % limit;
    return (value * 2 + (at > 0 ? from[i - step] : value) + (at < limit - 1 ? from[i + step] : value)) / 4;
  });
  return blurred(blurred(image, 1, SIDE), SIDE, SIDE);
}

function drawByHand(canvas) {
  let last = null;
  const place = (event) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return [((event.clientX - left) * SIDE) / width, ((event.clientY - top) * SIDE) / height];
  };
  const line = (event) => {
    const [x, y] = place(event);
    const context = canvas.getContext("2d");
    context.beginPath();
    context.moveTo(...(last ?? [x, y]));
    context.lineTo(x, y);
    context.stroke();
    last = [x, y];
    changed();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    if ($("digit").value !== "") { // a new drawing, not one on top of a chosen digit
      $("digit").value = "";
      drawDigit("");
    }
    line(event);
  });
  canvas.addEventListener("pointermove", (event) => { if (last) line(event); });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });
}

// The digit is w, the lamp x, and y = w ⊙ x all that the solvers see.
function changed() {
  exhibit.run++;
  const { data } = $("draw").getContext("2d").getImageData(0, 0, SIDE, SIDE);
  const [c, sigma] = [Number($("place").value), Number($("spread").value)];
  exhibit.signal = softened(Float64Array.from({ length: PIXELS }, (_, i) => data[4 * i] / 255));
  exhibit.modulator = demodEngine.lamp(c, sigma);
  exhibit.y = demodEngine.times(exhibit.signal, exhibit.modulator);
  exhibit.curves = [];
  $("place").setAttribute("aria-valuetext", `lamp at ${c} of −3 to 3 on the diagonal`);
  $("spread").setAttribute("aria-valuetext", `spread ${sigma}`);
  paint($("lamp"), exhibit.modulator);
  paint($("product"), exhibit.y);
  for (const name of ["signal", "modulator"]) $(name).getContext("2d").clearRect(0, 0, SIDE, SIDE);
  $("said").textContent = "Choose a solver.";
  plotResiduals();
}

function plotResiduals() {
  const canvas = $("residuals");
  const context = canvas.getContext("2d");
  const sharp = window.devicePixelRatio;
  const { clientWidth: width, clientHeight: height } = canvas;
  Object.assign(canvas, { width: width * sharp, height: height * sharp }); // text of one size on every screen
  context.scale(sharp, sharp);
  const [left, bottom, top] = [46, 22, 10];
  const decades = 5; // from 1 down
  const at = (iteration, value) => [
    left + ((width - left - 8) * Math.log10(1 + iteration)) / Math.log10(501),
    top + ((height - top - bottom) * Math.min(decades, Math.max(0, -Math.log10(value)))) / decades,
  ];
  context.clearRect(0, 0, width, height);
  Object.assign(context, { fillStyle: ink(canvas), strokeStyle: ink(canvas), font: "12px sans-serif", lineWidth: 0.5 });
  for (let k = 0; k <= decades; k++) {
    const [x, y] = at(0, 10 ** -k);
    context.fillText(k ? `10⁻${"⁰¹²³⁴⁵"[k]}` : "1", 4, y + 4);
    context.globalAlpha = 0.3;
    context.strokeRect(x, y, width - left - 8, 0);
    context.globalAlpha = 1;
  }
  for (const i of [1, 10, 100, 500]) context.fillText(i, at(i, 1)[0] - 6, height - 6);
  context.lineWidth = 2.5;
  for (const { colour, values, dashed } of exhibit.curves) {
    context.strokeStyle = colour;
    context.setLineDash(dashed ? [6, 4] : []);
    context.beginPath();
    values.forEach((value, i) => context.lineTo(...at(i, value)));
    context.stroke();
  }
  context.setLineDash([]);
}

async function solve({ name, colour, iterations }) {
  const run = ++exhibit.run;
  const { y, signal, modulator } = exhibit;
  if (demodEngine.norm(y) === 0) {
    $("said").textContent = "There is no light on the digit: move the lamp, or make its spread larger.";
    return;
  }
  exhibit.priors ??= { signal: prior(demodWeights.signal), modulator: prior(demodWeights.modulator) };
  const normal = demodEngine.gaussians(demodEngine.stream(exhibit.start));
  const [h, m] = ["signal", "modulator"].map((factor) => startingCode(exhibit.priors[factor], normal));
  const signCheck = $("check").checked;
  const Solver = name === WALK.name ? demodEngine.AlgorithmOne : demodEngine.GaussNewton;
  const options = { stepSize: STEP, momentum: MOMENTUM, signCheck };
  const solver = new Solver(exhibit.priors.signal, exhibit.priors.modulator, y, h, m, options);
  const curve = { colour, dashed: name === WALK.name && !signCheck, values: [solver.meanSquaredResidual] };
  exhibit.curves.push(curve);
  let shown = performance.now();
  while (solver.iterations < iterations && !solver.ended) {
    solver.iterate(); // about a hundredth of a second, Gauss–Newton a tenth
    if (!Number.isFinite(solver.objective)) {
      $("said").textContent = `${name} diverged after ${solver.iterations} iterations: try another start, or the sign check.`;
      return;
    }
    curve.values.push(solver.meanSquaredResidual);
    if (performance.now() - shown > 40 || solver.iterations === iterations || solver.ended) {
      paint($("signal"), solver.first.value);
      paint($("modulator"), solver.second.value);
      plotResiduals();
      $("progress").textContent = `${name}, iteration ${solver.iterations}`;
      await nextFrame();
      if (run !== exhibit.run) return; // another run, another digit, or stopped
      shown = performance.now();
    }
  }
  const [digit, light] = [[solver.first, signal], [solver.second, modulator]].map(
    ([{ value }, truth]) => demodEngine.psnr(value, truth).toFixed(1),
  );
  const residual = solver.meanSquaredResidual.toExponential(1);
  $("progress").textContent = "";
  $("said").textContent =
    `${name}: ${solver.iterations} iterations, mean-squared residual ${residual}, digit ${digit} dB, light ${light} dB.`;
}

function openExhibit() {
  drawByHand($("draw"));
  $("digit").addEventListener("change", () => drawDigit($("digit").value));
  for (const name of ["place", "spread"]) $(name).addEventListener("input", changed);
  $("walk").addEventListener("click", () => solve(WALK));
  $("jump").addEventListener("click", () => solve(JUMP));
  $("stop").addEventListener("click", () => {
    exhibit.run++;
    $("progress").textContent = "";
    $("said").textContent = "Stopped.";
  });
  $("again").addEventListener("click", () => {
    exhibit.start++;
    changed();
    $("said").textContent = `Start ${exhibit.start}: choose a solver.`;
  });
  drawDigit($("digit").value);
}

// --- the landscape of scalar codes

const landscape = { seed: 1 };
const REACH = 2; // h and m go from −2 to 2

function drawLandscape() {
  const [depth, width] = [Number($("depth").value), Number($("width").value)];
  const normal = demodEngine.gaussians(demodEngine.stream(landscape.seed));
  const widths = [1, ...Array(depth - 1).fill(width), 4 * width];
  const networks = [0, 1].map(() => demodEngine.scalarNetwork(widths, normal));
  const quadrants = demodEngine.parabolas(...networks);
  const rho = demodEngine.contraction(depth);
  const expected = [1, rho, rho, rho * rho];
  const found = demodEngine.valleys(quadrants);
  const canvas = $("landscape");
  const context = canvas.getContext("2d");
  const { width: side } = canvas;
  const pixels = new ImageData(side, side);
  const quadrant = (h, m) => (h < 0 ? 1 : 0) + (m < 0 ? 2 : 0);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const [h, m] = [REACH * ((2 * column + 1) / side - 1), REACH * (1 - (2 * row + 1) / side)];
      const { linear, square, energy } = quadrants[quadrant(h, m)];
      const t = Math.abs(h * m);
      const f = 1 - (2 * t * linear) / energy + (t * t * square) / energy; // in units of ½‖y‖²
      const grey = 255 * Math.min(1, f / 1.6) ** 0.7;
      pixels.data.set([grey, 40 + 0.84 * grey, 80 + 0.68 * grey, 255], 4 * (row * side + column));
    }
  }
  context.putImageData(pixels, 0, 0);
  const curve = (k, t, dashed) => {
    const [a, b] = [k % 2 ? -1 : 1, k > 1 ? -1 : 1];
    context.beginPath();
    context.setLineDash(dashed ? [3, 5] : []);
    for (let h = t / REACH; h <= REACH; h += 0.01) {
      context.lineTo((side * (1 + (a * h) / REACH)) / 2, (side * (1 - (b * t) / h / REACH)) / 2);
    }
    context.stroke();
  };
  found.forEach(({ t }, k) => {
    Object.assign(context, { lineWidth: 5, strokeStyle: "#fff" });
    curve(k, t, false);
    Object.assign(context, { lineWidth: 2.5, strokeStyle: CURVES[k] });
    curve(k, t, false);
    Object.assign(context, { lineWidth: 1.5, strokeStyle: "#000" });
    curve(k, expected[k], true);
  });
  const rows = found.map(({ t, height }, k) => {
    const signs = ["(+, +)", "(−, +)", "(+, −)", "(−, −)"][k];
    return [signs, t.toFixed(3), expected[k].toFixed(3), height.toFixed(3), (1 - expected[k] ** 2).toFixed(3)];
  });
  $("valleys").replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((text, k) => Object.assign(document.createElement(k ? "td" : "th"), { textContent: text })));
    row.firstChild.scope = "row";
    return row;
  }));
  $("depth").setAttribute("aria-valuetext", `${depth} layers`);
  $("width").setAttribute("aria-valuetext", `${width} units`);
  $("sizes").textContent = `Both networks: 1 → ${widths.slice(1).join(" → ")}; ρ = ${rho.toFixed(3)}.`;
}

function openLandscape() {
  for (const name of ["depth", "width"]) $(name).addEventListener("input", drawLandscape);
  $("networks").addEventListener("click", () => {
    landscape.seed++;
    drawLandscape();
  });
  drawLandscape();
}

document.addEventListener("DOMContentLoaded", () => {
  openExhibit();
  openLandscape();
  const themes = new MutationObserver(plotResiduals); // its ink follows the theme
  window.addEventListener("resize", plotResiduals);
  themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
});
