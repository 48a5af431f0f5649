// What demod computes, once more in the browser, for one product of 64 × 64 pixels and bias-free ReLU priors of two layers:
//
//     G(z) = relu(R W₂ relu(W₁ z)),   f(h, m) = ½ ‖G₁(h) ⊙ G₂(m) − y‖²
//
// Algorithm 1 as `demod.descent` has it, Gauss–Newton as `demod.gauss_newton`, and for scalar codes the four branches of
// `demod.landscape`. The tests of the book compare all three with the package. All numbers are in double precision.

"use strict";

const demodEngine = (() => {
  const SIDE = 64;
  const SMALL = 28;
  const PIXELS = SIDE * SIDE;

  const dot = (a, b) => {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  };
  const norm = (a) => Math.sqrt(dot(a, a));
  const scaled = (a, c) => a.map((value) => c * value);
  const times = (a, b) => a.map((value, i) => value * b[i]);
  const product = (w, x, y) => w.map((value, i) => value * x[i] - y[i]);

  // R: 28 × 28 pixels to 64 × 64, bilinear with half-pixel centres; row i mixes rows low and high of the small image
  const TAPS = Array.from({ length: SIDE }, (_, i) => {
    const at = Math.max(0, ((i + 0.5) * SMALL) / SIDE - 0.5);
    const low = Math.floor(at);
    return { low, high: Math.min(low + 1, SMALL - 1), share: at - low };
  });

  function enlarge(small) {
    const wide = new Float64Array(SMALL * SIDE);
    const large = new Float64Array(PIXELS);
    for (let i = 0; i < SMALL; i++) {
      TAPS.forEach(({ low, high, share }, j) => {
        wide[i * SIDE + j] = (1 - share) * small[i * SMALL + low] + share * small[i * SMALL + high];
      });
    }
    TAPS.forEach(({ low, high, share }, i) => {
      for (let j = 0; j < SIDE; j++) large[i * SIDE + j] = (1 - share) * wide[low * SIDE + j] + share * wide[high * SIDE + j];
    });
    return large;
  }

  function reduce(large) { // the adjoint of enlarge
    const wide = new Float64Array(SMALL * SIDE);
    const small = new Float64Array(SMALL * SMALL);
    TAPS.forEach(({ low, high, share }, i) => {
      for (let j = 0; j < SIDE; j++) {
        wide[low * SIDE + j] += (1 - share) * large[i * SIDE + j];
        wide[high * SIDE + j] += share * large[i * SIDE + j];
      }
    });
    for (let i = 0; i < SMALL; i++) {
      TAPS.forEach(({ low, high, share }, j) => {
        small[i * SMALL + low] += (1 - share) * wide[i * SIDE + j];
        small[i * SMALL + high] += share * wide[i * SIDE + j];
      });
    }
    return small;
  }

  // A prior: W₁ (hidden × n) by rows, W₂ (784 × hidden) by columns, so that a unit that is off costs nothing.
  class Prior {
    constructor({ size, hidden, first, last, centre }) {
      Object.assign(this, { size, hidden, first, last, centre });
    }

    at(z) {
      const { size, hidden, first, last } = this;
      const units = new Float64Array(hidden);
      const small = new Float64Array(SMALL * SMALL);
      for (let j = 0; j < hidden; j++) {
        let a = 0;
        for (let k = 0, at = j * size; k < size; k++, at++) a += first[at] * z[k];
        if (a <= 0) continue;
        units[j] = a;
        for (let i = 0, at = j * small.length; i < small.length; i++, at++) small[i] += a * last[at];
      }
      const value = enlarge(small);
      for (let i = 0; i < PIXELS; i++) if (value[i] < 0) value[i] = 0;
      return { z, units, value };
    }

    pull({ units, value }, u) { // Λᵀ u
      const { size, hidden, first, last } = this;
      const back = reduce(u.map((entry, i) => (value[i] > 0 ? entry : 0)));
      const found = new Float64Array(size);
      for (let j = 0; j < hidden; j++) {
        if (units[j] <= 0) continue;
        let a = 0;
        for (let i = 0, at = j * back.length; i < back.length; i++, at++) a += last[at] * back[i];
        for (let k = 0, at = j * size; k < size; k++, at++) found[k] += a * first[at];
      }
      return found;
    }

    jacobian({ units, value }) { // its columns, each an image
      const { size, hidden, first, last } = this;
      const columns = Array.from({ length: size }, () => new Float64Array(SMALL * SMALL));
      for (let j = 0; j < hidden; j++) {
        if (units[j] <= 0) continue;
        for (let k = 0; k < size; k++) {
          const column = columns[k];
          const a = first[j * size + k];
          for (let i = 0, at = j * column.length; i < column.length; i++, at++) column[i] += a * last[at];
        }
      }
      return columns.map((column) => enlarge(column).map((entry, i) => (value[i] > 0 ? entry : 0)));
    }
  }

  // What both solvers have in common: two factors, the residual, the sign check, the balancing.
  class Product {
    constructor(G1, G2, y, h, m) {
      Object.assign(this, { G1, G2, y, iterations: 0 });
      this.moveTo(G1.at(h), G2.at(m));
    }

    moveTo(first, second) {
      this.first = first;
      this.second = second;
      this.residual = product(first.value, second.value, this.y);
      this.objective = 0.5 * dot(this.residual, this.residual);
    }

    // Line 3: of (±h, ±m) the one with the least objective; a tie keeps the signs. Returns which codes were negated.
    reflect() {
      const firsts = [this.first, this.G1.at(scaled(this.first.z, -1))];
      const seconds = [this.second, this.G2.at(scaled(this.second.z, -1))];
      let best = { f: this.objective, i: 0, j: 0 };
      for (const [i, j] of [[0, 1], [1, 0], [1, 1]]) {
        const r = product(firsts[i].value, seconds[j].value, this.y);
        const f = 0.5 * dot(r, r);
        if (f < best.f) best = { f, i, j };
      }
      if (best.i || best.j) this.moveTo(firsts[best.i], seconds[best.j]);
      return best;
    }

    // Line 5: c = √(‖h‖/‖m‖)
    static imbalance(h, m) {
      const lengths = [norm(h), norm(m)];
      return lengths[0] > 0 && lengths[1] > 0 ? Math.sqrt(lengths[0] / lengths[1]) : 1;
    }

    get meanSquaredResidual() {
      return (2 * this.objective) / PIXELS;
    }
  }

  class AlgorithmOne extends Product {
    constructor(G1, G2, y, h, m, { stepSize, momentum = 0, signCheck = true }) {
      super(G1, G2, y, h, m);
      Object.assign(this, { stepSize, momentum, signCheck });
      this.velocities = [new Float64Array(h.length), new Float64Array(m.length)];
    }

    iterate() {
      if (this.signCheck) {
        const { i, j } = this.reflect();
        if (i) this.velocities[0] = scaled(this.velocities[0], -1);
        if (j) this.velocities[1] = scaled(this.velocities[1], -1);
      }
      const h = this.#stepped(0, this.G1.pull(this.first, times(this.second.value, this.residual)), this.first.z);
      this.moveTo(this.G1.at(h), this.second); // m descends at the new h
      const m = this.#stepped(1, this.G2.pull(this.second, times(this.first.value, this.residual)), this.second.z);
      const second = this.G2.at(m);
      const c = Product.imbalance(h, m);
      this.velocities = [scaled(this.velocities[0], 1 / c), scaled(this.velocities[1], c)];
      this.moveTo(multiple(this.first, 1 / c), multiple(second, c));
      this.iterations++;
    }

    #stepped(which, gradient, z) {
      const v = this.velocities[which].map((value, k) => this.momentum * value + gradient[k]);
      this.velocities[which] = v;
      return z.map((value, k) => value - this.stepSize * v[k]);
    }
  }

  const multiple = ({ z, units, value }, c) => ({ z: scaled(z, c), units: scaled(units, c), value: scaled(value, c) });

  class GaussNewton extends Product {
    constructor(G1, G2, y, h, m) {
      super(G1, G2, y, h, m);
      this.reflect();
      Object.assign(this, { mu: 0.3, nu: 4, ended: false });
      this.#linearise();
    }

    #linearise() { // JᵀJ and Jᵀr over the pixels where both factors are positive
      const on = [];
      this.first.value.forEach((w, i) => { if (w > 0 && this.second.value[i] > 0) on.push(i); });
      const rows = (columns, other) => columns.map((column) => Float64Array.from(on, (i) => column[i] * other[i]));
      const J = [
        ...rows(this.G1.jacobian(this.first), this.second.value),
        ...rows(this.G2.jacobian(this.second), this.first.value),
      ];
      const r = Float64Array.from(on, (i) => this.residual[i]);
      this.gram = J.map((a, i) => Float64Array.from(J.slice(0, i + 1), (b) => dot(a, b))); // its lower triangle
      this.slope = Float64Array.from(J, (a) => dot(a, r));
    }

    iterate() {
      const f = this.objective;
      const before = [this.first, this.second];
      const { delta, fall } = this.#step((this.mu * 2 * f) / dot(this.y, this.y));
      const n = this.first.z.length;
      const h = this.first.z.map((value, k) => value - delta[k]);
      const m = this.second.z.map((value, k) => value - delta[n + k]);
      const c = Product.imbalance(h, m);
      this.moveTo(this.G1.at(scaled(h, 1 / c)), this.G2.at(scaled(m, c)));
      this.reflect();
      const better = this.objective < f;
      this.mu *= better ? 0.5 : this.nu;
      this.nu = better ? 4 : 2 * this.nu;
      this.ended = fall <= Number.EPSILON * (this.objective + 16 * Number.EPSILON * dot(this.y, this.y));
      if (better) this.#linearise();
      else this.moveTo(...before);
      this.iterations++;
    }

    // (JᵀJ + λ D + a aᵀ) δ = Jᵀr with a = D u / √(uᵀD u), u = (h, −m)
    #step(lambda) {
      const n = this.first.z.length;
      const size = this.slope.length;
      const mean = (from, to) => {
        let sum = 0;
        for (let k = from; k < to; k++) sum += this.gram[k][k];
        return sum > 0 ? sum / (to - from) : 1;
      };
      const means = [mean(0, n), mean(n, size)];
      const D = Float64Array.from({ length: size }, (_, k) => means[k < n ? 0 : 1]);
      const u = Float64Array.from([...this.first.z, ...scaled(this.second.z, -1)]);
      const length = Math.sqrt(dot(D, times(u, u))) || 1;
      const a = D.map((value, k) => (value * u[k]) / length);
      const damped = scaled(D, Math.max(lambda, 8 * Number.EPSILON));
      const A = this.gram.map((row, i) => row.map((value, j) => value + a[i] * a[j] + (i === j ? damped[i] : 0)));
      const delta = solved(A, this.slope);
      if (!delta) return { delta: new Float64Array(size), fall: Infinity };
      return { delta, fall: 0.5 * delta.reduce((sum, d, k) => sum + d * (damped[k] * d + this.slope[k]), 0) };
    }
  }

  // The solution of A x = b by Cholesky's factor, which overwrites the lower triangle A; null where A is singular.
  function solved(A, b) {
    const size = b.length;
    for (let i = 0; i < size; i++) {
      for (let j = 0; j <= i; j++) {
        let sum = A[i][j];
        for (let k = 0; k < j; k++) sum -= A[i][k] * A[j][k];
        if (i === j && !(sum > 0)) return null;
        A[i][j] = i === j ? Math.sqrt(sum) : sum / A[j][j];
      }
    }
    const x = Float64Array.from(b);
    for (let i = 0; i < size; i++) {
      for (let k = 0; k < i; k++) x[i] -= A[i][k] * x[k];
      x[i] /= A[i][i];
    }
    for (let i = size - 1; i >= 0; i--) {
      for (let k = i + 1; k < size; k++) x[i] -= A[k][i] * x[k];
      x[i] /= A[i][i];
    }
    return x;
  }

  // --- images

  // The paper's distortion on 28 × 28 pixels of 8 bits, enlarged: exp(−((x − c)² + (y − c)²)/σ), x and y from −5 to 5.
  function lamp(c, sigma) {
    const bump = Array.from({ length: SMALL }, (_, i) => Math.exp(-((-5 + (10 * i) / (SMALL - 1) - c) ** 2) / sigma));
    return enlarge(Float64Array.from({ length: SMALL * SMALL }, (_, k) =>
      Math.round(255 * bump[Math.floor(k / SMALL)] * bump[k % SMALL]) / 255));
  }

  // The peak signal-to-noise ratio in dB of the multiple of an estimate that is closest to the truth.
  function psnr(estimate, truth) {
    const c = dot(estimate, truth) / (dot(estimate, estimate) || 1);
    const error = truth.map((value, i) => value - c * estimate[i]);
    return -10 * Math.log10(dot(error, error) / truth.length);
  }

  // --- scalar codes

  const gaussians = (random) => () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

  // Random numbers in [0, 1) that a seed repeats (mulberry32).
  function stream(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  // [G(1), G(−1)] of a network of Theorem 2, but for the truncation: layer i has entries N(0, 1/n_i).
  function scalarNetwork(widths, normal) {
    let sides = [[1], [-1]];
    for (let layer = 1; layer < widths.length; layer++) {
      const outputs = sides.map(() => new Float64Array(widths[layer]));
      for (let i = 0; i < widths[layer]; i++) {
        const row = Float64Array.from({ length: widths[layer - 1] }, () => normal() / Math.sqrt(widths[layer]));
        sides.forEach((side, k) => { outputs[k][i] = Math.max(0, dot(row, side)); });
      }
      sides = outputs;
    }
    return sides;
  }

  // Of each quadrant, in the order (+, +), (−, +), (+, −), (−, −): f = ½‖y‖² − t linear + ½ t² square, t = |h m|, h₀ = m₀ = 1.
  function parabolas([wPlus, wMinus], [xPlus, xMinus]) {
    const y = times(wPlus, xPlus);
    return [[wPlus, xPlus], [wMinus, xPlus], [wPlus, xMinus], [wMinus, xMinus]].map(([w, x]) => {
      const z = times(w, x);
      return { linear: dot(y, z), square: dot(z, z), energy: dot(y, y) };
    });
  }

  // Where the valley of each quadrant lies, in |h m|, and its height in units of ½‖y‖².
  const valleys = (quadrants) => quadrants.map(({ linear, square, energy }) => {
    const t = linear / square;
    return { t, height: 1 - (linear * t) / energy };
  });

  // ρ_d = cos θ̌_d, θ̌_0 = π, θ̌_{i+1} = arccos(((π − θ̌_i) cos θ̌_i + sin θ̌_i)/π)
  function contraction(depth) {
    let theta = Math.PI;
    for (let i = 0; i < depth; i++) theta = Math.acos(((Math.PI - theta) * Math.cos(theta) + Math.sin(theta)) / Math.PI);
    return Math.cos(theta);
  }

  return {
    SIDE, PIXELS, Prior, AlgorithmOne, GaussNewton, lamp, psnr, norm, times, stream, gaussians, scalarNetwork, parabolas, valleys,
    contraction,
  };
})();
