// What the lab computes: surfaces, gradient noise, schedules, optimizers, and a run of one optimizer on one surface.
// Nothing here touches the page. Operations stand in the order of minigrad's kernels (kernels/optimizers.py), so that
// numbers agree to the last digits; minigrad/lab/run.py is the same run by minigrad itself, and the tests compare.
"use strict";

/** A path ends, as diverged, where a coordinate leaves [-FAR, FAR] or is no number. */
const FAR = 1e4;
const BOTH = [0, 1];

// ---- surfaces: the value at (x, y), and the gradient -------------------------------------------------------------------

const bowl = {
  value: (x, y) => 0.5 * (x * x + y * y),
  gradient: (x, y) => [x, y],
};

const SURFACES = {
  bowl,
  ravine: {
    value: (x, y) => 0.5 * (0.1 * x * x + 5 * y * y),
    gradient: (x, y) => [0.1 * x, 5 * y],
  },
  rosenbrock: {
    value: (x, y) => (1 - x) ** 2 + 100 * (y - x * x) ** 2,
    gradient: (x, y) => [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)],
  },
  beale: {
    value: (x, y) => (1.5 - x + x * y) ** 2 + (2.25 - x + x * y ** 2) ** 2 + (2.625 - x + x * y ** 3) ** 2,
    gradient(x, y) {
      const a = 1.5 - x + x * y;
      const b = 2.25 - x + x * y ** 2;
      const c = 2.625 - x + x * y ** 3;
      return [
        2 * a * (y - 1) + 2 * b * (y * y - 1) + 2 * c * (y ** 3 - 1),
        2 * a * x + 4 * b * x * y + 6 * c * x * y * y,
      ];
    },
  },
  saddle: {
    value: (x, y) => 0.5 * x * x - 0.5 * y * y + 0.25 * y ** 4,
    gradient: (x, y) => [x, y * y * y - y],
  },
  himmelblau: {
    value: (x, y) => (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2,
    gradient(x, y) {
      const a = x * x + y - 11;
      const b = x + y * y - 7;
      return [4 * x * a + 2 * b, 2 * a + 4 * y * b];
    },
  },
  noisy: bowl,
};

// ---- noise -------------------------------------------------------------------------------------------------------------

/**
 * A function that returns the next random number of mean 0 and variance 1.
 *
 * Marsaglia's xorshift of 32 bits (Journal of Statistical Software 8(14), 2003), begun at the seed with some bits turned
 * and eight values thrown away. A number is the sum of twelve uniform ones less six: nearly normal, and made of sums
 * alone, so that every language gives the same bits, which a logarithm or a cosine would not.
 */
function noise(seed) {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  const uniform = () => {
    state = (state ^ (state << 13)) >>> 0;
    state = (state ^ (state >>> 17)) >>> 0;
    state = (state ^ (state << 5)) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < 8; i++) uniform();
  return () => {
    let sum = 0;
    for (let i = 0; i < 12; i++) sum += uniform();
    return sum - 6;
  };
}

// ---- schedules: the rate at step t of T, for the rate α and the schedule's own numbers ---------------------------------

const halfCosine = (x) => 0.5 * (1 + Math.cos(Math.PI * x));

const SCHEDULES = {
  constant: (t, T, alpha) => alpha,
  step: (t, T, alpha, { gamma, s }) => alpha * gamma ** Math.floor(t / s),
  exponential: (t, T, alpha, { decay }) => alpha * Math.exp(-decay * t),
  cosine: (t, T, alpha, { floor }) => floor * alpha + (alpha - floor * alpha) * halfCosine(t / T),
  warmup(t, T, alpha, { warm }) {
    const warmup = (warm / 100) * T;
    return t < warmup ? (t / warmup) * alpha : alpha;
  },
  "warmup-cosine"(t, T, alpha, { warm, floor }) {
    const warmup = (warm / 100) * T;
    if (t < warmup) return (t / warmup) * alpha;
    return floor * alpha + (alpha - floor * alpha) * halfCosine((t - warmup) / (T - warmup));
  },
  "one-cycle"(t, T, alpha, { warm }) {
    const warmup = (warm / 100) * T;
    const [first, last] = [alpha / 25, alpha / 25 / 10000];
    if (warmup > 0 && t <= warmup) return alpha + (first - alpha) * halfCosine(t / warmup);
    return last + (alpha - last) * halfCosine((t - warmup) / (T - warmup));
  },
};

// ---- optimizers --------------------------------------------------------------------------------------------------------
// `update(p, g, s, h)` changes the point p by the gradient g. s is the optimizer's state, empty before the first step;
// h has the rate alpha of this step, its number k = t + 1, and the optimizer's own numbers.

const zeros = () => [0, 0];
const sign = (x) => (x > 0) - (x < 0);

/** First and second moment of Adam and its relatives, and what corrects their bias. */
function moments(g, s, h) {
  s.m ??= zeros();
  s.v ??= zeros();
  for (const i of BOTH) {
    s.m[i] += (1 - h.beta1) * (g[i] - s.m[i]);
    s.v[i] += (1 - h.beta2) * (g[i] * g[i] - s.v[i]);
  }
  return [1 / (1 - h.beta1 ** h.k), 1 / (1 - h.beta2 ** h.k)];
}

function adam(p, g, s, h) {
  const [c1, c2] = moments(g, s, h);
  const keep = 1 - h.alpha * (h.decay ?? 0);
  for (const i of BOTH) p[i] = keep * p[i] - (h.alpha * (c1 * s.m[i])) / (Math.sqrt(c2 * s.v[i]) + h.eps);
}

function momentum(p, g, s, h) {
  s.v ??= zeros();
  for (const i of BOTH) {
    s.v[i] = h.beta * s.v[i] + g[i];
    p[i] -= h.alpha * s.v[i];
  }
}

const OPTIMIZERS = {
  gd: {
    update(p, g, s, h) {
      for (const i of BOTH) p[i] -= h.alpha * g[i];
    },
  },
  momentum: { update: momentum },
  nesterov: {
    update: momentum,
    /** Where the gradient is taken: the point to which momentum alone would lead. */
    ahead: (p, s, h) => (s.v ? BOTH.map((i) => p[i] - h.alpha * h.beta * s.v[i]) : p),
  },
  adagrad: {
    update(p, g, s, h) {
      s.G ??= zeros();
      for (const i of BOTH) {
        s.G[i] += g[i] * g[i];
        p[i] -= (h.alpha * g[i]) / Math.sqrt(s.G[i] + h.eps);
      }
    },
  },
  rmsprop: {
    update(p, g, s, h) {
      s.v ??= zeros();
      for (const i of BOTH) {
        s.v[i] += (1 - h.beta) * (g[i] * g[i] - s.v[i]);
        p[i] -= h.alpha * (g[i] / Math.sqrt(s.v[i] + h.eps));
      }
    },
  },
  adadelta: {
    update(p, g, s, h) {
      s.v ??= zeros();
      s.u ??= zeros();
      for (const i of BOTH) {
        s.v[i] += (1 - h.rho) * (g[i] * g[i] - s.v[i]);
        const delta = Math.sqrt((s.u[i] + h.eps) / (s.v[i] + h.eps)) * g[i];
        s.u[i] += (1 - h.rho) * (delta * delta - s.u[i]);
        p[i] -= h.alpha * delta;
      }
    },
  },
  adam: { update: adam },
  adamw: { update: adam },
  adamax: {
    update(p, g, s, h) {
      s.m ??= zeros();
      s.u ??= zeros();
      const alpha = h.alpha / (1 - h.beta1 ** h.k);
      for (const i of BOTH) {
        s.m[i] += (1 - h.beta1) * (g[i] - s.m[i]);
        s.u[i] = Math.max(h.beta2 * s.u[i], Math.abs(g[i]) + h.eps);
        p[i] -= (alpha * s.m[i]) / s.u[i];
      }
    },
  },
  nadam: {
    update(p, g, s, h) {
      const [, c2] = moments(g, s, h);
      const mu = (k) => h.beta1 * (1 - 0.5 * 0.96 ** (k * h.psi));
      s.M = (s.M ?? 1) * mu(h.k);
      const ofGradient = (h.alpha * (1 - mu(h.k))) / (1 - s.M);
      const ofMomentum = (h.alpha * mu(h.k + 1)) / (1 - s.M * mu(h.k + 1));
      for (const i of BOTH) p[i] -= (ofGradient * g[i] + ofMomentum * s.m[i]) / (Math.sqrt(c2 * s.v[i]) + h.eps);
    },
  },
  radam: {
    update(p, g, s, h) {
      const [c1] = moments(g, s, h);
      const { k, beta2 } = h;
      const most = 2 / (1 - beta2) - 1;
      const rho = most - (2 * k * beta2 ** k) / (1 - beta2 ** k);
      const rectified = ((rho - 4) * (rho - 2) * most) / ((most - 4) * (most - 2) * rho);
      const r = rho > 5 ? Math.sqrt(rectified * (1 - beta2 ** k)) : 0;
      for (const i of BOTH) {
        const adapted = r === 0 ? 1 : r / (Math.sqrt(s.v[i]) + h.eps);
        p[i] -= h.alpha * c1 * s.m[i] * adapted;
      }
    },
  },
  lion: {
    update(p, g, s, h) {
      s.m ??= zeros();
      const keep = 1 - h.alpha * h.decay;
      for (const i of BOTH) {
        const c = s.m[i] + (1 - h.beta1) * (g[i] - s.m[i]);
        p[i] = keep * p[i] - h.alpha * sign(c);
        s.m[i] += (1 - h.beta2) * (g[i] - s.m[i]);
      }
    },
  },
  rprop: {
    update(p, g, s, h) {
      s.previous ??= zeros();
      s.step ??= [h.alpha, h.alpha];
      for (const i of BOTH) {
        const agreement = g[i] * s.previous[i];
        const factor = agreement > 0 ? h.grow : agreement < 0 ? h.shrink : 1;
        s.step[i] = Math.min(Math.max(s.step[i] * factor, 1e-6), 50);
        const d = agreement < 0 ? 0 : g[i];
        p[i] -= sign(d) * s.step[i];
        s.previous[i] = d;
      }
    },
  },
  adabelief: {
    update(p, g, s, h) {
      s.m ??= zeros();
      s.s ??= zeros();
      const [c1, c2] = [1 / (1 - h.beta1 ** h.k), 1 / (1 - h.beta2 ** h.k)];
      for (const i of BOTH) {
        s.m[i] += (1 - h.beta1) * (g[i] - s.m[i]);
        const surprise = g[i] - s.m[i];
        s.s[i] += (1 - h.beta2) * (surprise * surprise - s.s[i]) + h.eps;
        p[i] -= (h.alpha * c1 * s.m[i]) / (Math.sqrt(c2 * s.s[i]) + h.eps);
      }
    },
  },
  yogi: {
    update(p, g, s, h) {
      s.m ??= zeros();
      s.v ??= [1e-6, 1e-6];
      const [c1, c2] = [1 / (1 - h.beta1 ** h.k), 1 / (1 - h.beta2 ** h.k)];
      for (const i of BOTH) {
        s.m[i] += (1 - h.beta1) * (g[i] - s.m[i]);
        const square = g[i] * g[i];
        s.v[i] -= (1 - h.beta2) * square * sign(s.v[i] - square);
        p[i] -= (h.alpha * c1 * s.m[i]) / (Math.sqrt(c2 * s.v[i]) + h.eps);
      }
    },
  },
  adan: {
    update(p, g, s, h) {
      for (const name of ["m", "v", "n"]) s[name] ??= zeros();
      s.previous ??= [...g];
      const c = [h.beta1, h.beta2, h.beta3].map((beta) => 1 / (1 - beta ** h.k));
      for (const i of BOTH) {
        const change = g[i] - s.previous[i];
        s.previous[i] = g[i];
        const ahead = g[i] + h.beta2 * change;
        s.m[i] += (1 - h.beta1) * (g[i] - s.m[i]);
        s.v[i] += (1 - h.beta2) * (change - s.v[i]);
        s.n[i] += (1 - h.beta3) * (ahead * ahead - s.n[i]);
        p[i] -= (h.alpha * (c[0] * s.m[i] + h.beta2 * c[1] * s.v[i])) / (Math.sqrt(c[2] * s.n[i]) + h.eps);
      }
    },
  },
};

// ---- a run -------------------------------------------------------------------------------------------------------------

/** The gradient after clipping: by its norm as one vector, or element by element. */
function clipped(g, clip, threshold) {
  if (clip === "value") return g.map((x) => Math.min(Math.max(x, -threshold), threshold));
  const norm = Math.sqrt(g[0] * g[0] + g[1] * g[1]);
  return clip === "norm" && norm > threshold ? g.map((x) => x * (threshold / norm)) : g;
}

/**
 * The path of one optimizer: x, y and loss before each step and after the last one, the rate of each step, and the step
 * after which the path had diverged, or null.
 *
 * `setting` is what `settings.js` reads from an address. The loss is that of the surface, without noise.
 */
function trajectory(setting, name) {
  const surface = SURFACES[setting.surface];
  const { update, ahead } = OPTIMIZERS[name];
  const own = setting.own[name];
  const draw = noise(setting.seed);
  const p = [setting.x, setting.y];
  const s = {};
  const path = { name, x: [p[0]], y: [p[1]], loss: [surface.value(...p)], alpha: [], diverged: null };
  for (let t = 0; t < setting.steps; t++) {
    const alpha = SCHEDULES[setting.schedule](t, setting.steps, own.lr, setting.shape[setting.schedule]);
    const h = { ...own, alpha, k: t + 1 };
    let g = surface.gradient(...(ahead ? ahead(p, s, h) : p));
    if (setting.noise > 0) g = g.map((x) => x + setting.noise * draw());
    update(p, clipped(g, setting.clip, setting.clipAt), s, h);
    path.alpha.push(alpha);
    if (!BOTH.every((i) => Math.abs(p[i]) <= FAR)) {
      path.diverged = t + 1;
      break;
    }
    path.x.push(p[0]);
    path.y.push(p[1]);
    path.loss.push(surface.value(...p));
  }
  return path;
}
