// For readers without a mouse or without sight: plotly's sliders give way to the browser's own, surfaces turn with the arrow
// keys, and what the theme left without a name has one. Code unfolds.

const TURN = Math.PI / 18;

function replaceSlider(figure, plot, slider) {
  const prefix = slider.currentvalue?.prefix ?? "";
  const label = document.createElement("label");
  const shown = document.createElement("output");
  const input = Object.assign(document.createElement("input"), { type: "range", min: 0, max: slider.steps.length - 1 });
  input.value = slider.active ?? 0;
  input.setAttribute("aria-label", prefix.replace(/ = $/, ""));
  const show = () => {
    const step = slider.steps[input.value];
    shown.value = prefix + step.label;
    input.setAttribute("aria-valuetext", shown.value);
    return step;
  };
  input.addEventListener("input", () => {
    const { method, args } = show();
    Plotly[method](plot, ...structuredClone(args));
  });
  show();
  label.append(shown, input);
  figure.append(label);
  Plotly.relayout(plot, { "sliders[0].visible": false });
}

function turnByKeys(figure, plot) {
  const turns = { ArrowLeft: [-TURN, 0], ArrowRight: [TURN, 0], ArrowUp: [0, TURN], ArrowDown: [0, -TURN] };
  if (window.innerWidth < 600) {
    const { x, y, z } = plot.layout.scene.camera.eye; // a narrow screen sees the whole scene from farther away
    Plotly.relayout(plot, { "scene.camera.eye": { x: 1.5 * x, y: 1.5 * y, z: 1.5 * z } });
  }
  plot.tabIndex = 0;
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-label", "Surface: the arrow keys turn it");
  plot.addEventListener("keydown", (event) => {
    if (!(event.key in turns)) return;
    event.preventDefault();
    const { x, y, z } = plot.layout.scene.camera.eye;
    const [around, up] = turns[event.key];
    const radius = Math.hypot(x, y, z);
    const azimuth = Math.atan2(y, x) + around;
    const height = Math.min(1.5, Math.max(-1.5, Math.asin(z / radius) + up));
    const flat = radius * Math.cos(height);
    const eye = { x: flat * Math.cos(azimuth), y: flat * Math.sin(azimuth), z: radius * Math.sin(height) };
    Plotly.relayout(plot, { "scene.camera.eye": eye });
  });
  const hint = document.createElement("p");
  hint.textContent = "Drag to turn, or press the arrow keys when it has the focus.";
  figure.append(hint);
}

// A formula stays on one line with the punctuation around it; one that is wider than its line scrolls.
function keepTogether(formula) {
  const room = formula.parentElement.closest("p, li, td, th, dd, dt, figcaption, h1, h2, h3")?.clientWidth ?? Infinity;
  if (formula.offsetWidth > room) {
    formula.classList.add("demod-wide");
    return;
  }
  const { previousSibling: before, nextSibling: after } = formula;
  const opening = before?.nodeType === Node.TEXT_NODE && before.data.match(/[([“‘]+$/)?.[0];
  const closing = after?.nodeType === Node.TEXT_NODE && after.data.match(/^[.,;:!?)\]”’]+/)?.[0];
  if (!opening && !closing) return;
  const whole = Object.assign(document.createElement("span"), { className: "demod-whole" });
  formula.before(whole);
  if (opening) whole.append(before.splitText(before.length - opening.length));
  whole.append(formula);
  if (closing) {
    after.splitText(closing.length);
    whole.append(after);
  }
}

// Code that only computes is open on a wide screen, and folded like the rest of the code on a phone.
function foldOpenCode() {
  for (const input of document.querySelectorAll("div.cell:not(.tag_hide-input) > .cell_input")) {
    const fold = Object.assign(document.createElement("details"), { className: "demod-code" });
    fold.append(Object.assign(document.createElement("summary"), { textContent: "Code: the computation" }));
    input.before(fold);
    fold.append(input);
  }
}

// One button unfolds all code of a page, and folds it again.
function offerToUnfold() {
  const folds = document.querySelectorAll("details.above-input, details.demod-code");
  const title = document.querySelector(".bd-article h1");
  if (!folds.length || !title) return;
  const button = Object.assign(document.createElement("button"), { className: "demod-unfold", type: "button" });
  const show = (open) => {
    button.textContent = open ? "Fold the code" : "Show all code";
    button.setAttribute("aria-pressed", open);
  };
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-pressed") !== "true";
    for (const fold of folds) fold.open = open;
    show(open);
  });
  show(false);
  title.before(button);
}

window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  document.querySelectorAll("span.math").forEach(keepTogether);
});

document.addEventListener("DOMContentLoaded", () => {
  if (window.innerWidth < 600) foldOpenCode();
  offerToUnfold();
  for (const summary of document.querySelectorAll("nav details > summary")) {
    const page = summary.closest("li").querySelector("a").textContent.trim();
    summary.setAttribute("aria-label", `Pages below ${page}`); // the theme has an arrow there, and no words
  }
  for (const figure of document.querySelectorAll(".demod-interactive")) {
    const plot = figure.querySelector(".plotly-graph-div");
    if (plot.layout.scene) turnByKeys(figure, plot);
    if (plot.layout.sliders) replaceSlider(figure, plot, plot.layout.sliders[0]);
  }
});

// Whoever prints a page gets it white and unfolded, and has it back as it was; `demod pdf` does so with the whole book.
const asRead = { theme: "", folded: [] };

window.addEventListener("beforeprint", () => {
  asRead.theme = document.documentElement.dataset.theme;
  asRead.folded = [...document.querySelectorAll("details:not([open])")];
  document.documentElement.dataset.theme = "light";
  asRead.folded.forEach((folded) => { folded.open = true; });
});

window.addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = asRead.theme;
  asRead.folded.forEach((folded) => { folded.open = false; });
});
