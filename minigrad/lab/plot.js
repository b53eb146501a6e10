// Pictures: the surface with its level lines and the paths on it, the loss curves, the schedule.
"use strict";

const DASHES = [[], [9, 5], [2, 4]];
const BANDS = 18; // level lines, each at the same ratio to the next
const DEPTH = 4.5; // powers of ten between the lowest level line and the highest
const LOWEST_LOSS = 1e-16; // where the logarithmic axis ends

// ---- colours and numbers -----------------------------------------------------------------------------------------------

/** The value that a colour of the style sheet has in the present theme. */
function colour(name) {
  const probe = document.getElementById("probe");
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/** Red, green and blue of a colour, by the browser itself: style sheets may write colours in many ways. */
function channels(name) {
  const pixel = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
  pixel.fillStyle = colour(name);
  pixel.fillRect(0, 0, 1, 1);
  return pixel.getImageData(0, 0, 1, 1).data;
}

const superscript = (n) => String(n).replace(/[-0-9]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));

/** A number as one reads it: 0.0123, −4.5, 3.2·10⁻⁷. */
function shown(x, digits = 4) {
  if (!Number.isFinite(x)) return "not a number";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    const [mantissa, exponent] = x.toExponential(digits - 1).split("e");
    return `${String(Number(mantissa)).replace("-", "−")}·10${superscript(Number(exponent))}`;
  }
  return String(Number(x.toPrecision(digits))).replace("-", "−");
}

// ---- a canvas and its axes ---------------------------------------------------------------------------------------------

/** Fit the canvas to its box and to the screen's pixels; drawing is in CSS pixels from then on. */
function fitted(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  const size = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return { pen, width, height };
}

/** The map between numbers and pixels of a plot with room for labels on its left and below. */
function frame(width, height, [left, right, bottom, top], room = { left: 40, bottom: 26, top: 8, right: 10 }) {
  const box = { x: room.left, y: room.top, w: width - room.left - room.right, h: height - room.top - room.bottom };
  return {
    box,
    toX: (x) => box.x + ((x - left) / (right - left)) * box.w,
    toY: (y) => box.y + ((top - y) / (top - bottom)) * box.h,
    fromX: (px) => left + ((px - box.x) / box.w) * (right - left),
    fromY: (py) => top - ((py - box.y) / box.h) * (top - bottom),
  };
}

/** Round numbers from low to high, about so many: steps of 1, 2 or 5 times a power of ten. */
function ticks(low, high, about) {
  const raw = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++)
    found.push(Number((k * step).toPrecision(12)));
  return found;
}

function axes(pen, { box, toX, toY }, xs, ys, labelY = shown, grid = true) {
  pen.save();
  pen.strokeStyle = colour("rule");
  pen.fillStyle = colour("soft");
  pen.lineWidth = 1;
  pen.textAlign = "center";
  pen.textBaseline = "top";
  for (const x of xs) {
    if (grid) line(pen, toX(x), box.y, toX(x), box.y + box.h);
    pen.fillText(shown(x), toX(x), box.y + box.h + 7);
  }
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const y of ys) {
    if (grid) line(pen, box.x, toY(y), box.x + box.w, toY(y));
    pen.fillText(labelY(y), box.x - 6, toY(y));
  }
  pen.strokeStyle = colour("field");
  pen.strokeRect(box.x, box.y, box.w, box.h);
  pen.restore();
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

// ---- paths: a colour, a dash and a marker for each optimizer -----------------------------------------------------------

// Colours whose contrast with some part of a surface is below 3 are drawn with an outline, whose contrast is higher.
const OUTLINED = new Set([1, 3, 4, 5, 6]);

const MARKERS = [
  (r) => `M ${-r} 0 A ${r} ${r} 0 1 0 ${r} 0 A ${r} ${r} 0 1 0 ${-r} 0 Z`,
  (r) => `M ${-r} ${-r} H ${r} V ${r} H ${-r} Z`,
  (r) => `M 0 ${-1.25 * r} L ${1.2 * r} ${r} L ${-1.2 * r} ${r} Z`,
  (r) => `M 0 ${-1.4 * r} L ${1.4 * r} 0 L 0 ${1.4 * r} L ${-1.4 * r} 0 Z`,
];

function marker(pen, name, x, y, radius) {
  const { colour: hue, marker: shape } = SETTINGS.optimizers[name];
  pen.save();
  pen.translate(x, y);
  pen.setLineDash([]);
  const path = new Path2D(MARKERS[shape](radius));
  pen.fillStyle = colour(`hue-${hue}`);
  pen.fill(path);
  pen.lineWidth = 1.25;
  pen.strokeStyle = colour(hue === 0 ? "high" : "ink");
  pen.stroke(path);
  pen.restore();
}

/** A line through points; a wider one under it is the outline of a colour that needs one. */
function stroke(pen, name, points, opacity) {
  if (points.length < 2) return;
  const { colour: hue, line: dash } = SETTINGS.optimizers[name];
  const path = new Path2D();
  points.forEach(([x, y], i) => (i === 0 ? path.moveTo(x, y) : path.lineTo(x, y)));
  pen.save();
  pen.lineJoin = "round";
  pen.globalAlpha = opacity;
  pen.setLineDash(DASHES[dash]);
  if (OUTLINED.has(hue)) {
    pen.strokeStyle = colour("soft");
    pen.lineWidth = 3.5;
    pen.stroke(path);
  }
  pen.strokeStyle = colour(`hue-${hue}`);
  pen.lineWidth = 2.25;
  pen.stroke(path);
  pen.restore();
}

/** What is past stands out, what is to come is faint; markers along the way, a larger one at step t. */
function trail(pen, name, points, t) {
  const now = Math.min(Math.round(t), points.length - 1);
  if (now < points.length - 1) stroke(pen, name, points.slice(now), 0.25);
  stroke(pen, name, points.slice(0, now + 1), 1);
  const every = Math.max(1, Math.round(points.length / 8));
  for (let i = every; i < now; i += every) marker(pen, name, ...points[i], 3);
  marker(pen, name, ...points[now], 5.5);
}

/** The line and marker of an optimizer, for legends. */
function sample(name) {
  const { colour: hue, line: dash, marker: shape } = SETTINGS.optimizers[name];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const add = (kind, attributes) => {
    const part = document.createElementNS(svg.namespaceURI, kind);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    svg.append(part);
  };
  const dashes = DASHES[dash].join(" ");
  svg.setAttribute("viewBox", "0 0 36 14");
  svg.setAttribute("class", "sample");
  svg.setAttribute("aria-hidden", "true");
  if (OUTLINED.has(hue))
    add("path", { d: "M 0 7 H 36", stroke: "var(--soft)", "stroke-width": 3.75, "stroke-dasharray": dashes });
  add("path", { d: "M 0 7 H 36", stroke: `var(--hue-${hue})`, "stroke-width": 2.5, "stroke-dasharray": dashes });
  add("path", {
    d: MARKERS[shape](4.5),
    transform: "translate(18 7)",
    fill: `var(--hue-${hue})`,
    stroke: hue === 0 ? "var(--raised)" : "var(--ink)",
    "stroke-width": 1.2,
  });
  return svg;
}

// ---- the surface -------------------------------------------------------------------------------------------------------

/** A picture of the surface in so many pixels: bands of shade between level lines. Made once for each size and theme. */
const surfaceImages = new Map();

function surfaceImage(name, width, height) {
  const key = [name, width, height, colour("low")].join();
  if (!surfaceImages.has(key)) {
    surfaceImages.clear();
    surfaceImages.set(key, paintSurface(name, width, height));
  }
  return surfaceImages.get(key);
}

function paintSurface(name, width, height) {
  const {
    view: [left, right, bottom, top],
    lowest,
  } = SETTINGS.surfaces[name];
  const { value } = SURFACES[name];
  // Each pixel's place among the level lines, which lie at the whole numbers: BANDS at the highest loss in view.
  const place = new Float64Array(width * height);
  for (let j = 0; j < height; j++) {
    const y = top - ((j + 0.5) / height) * (top - bottom);
    for (let i = 0; i < width; i++) {
      const x = left + ((i + 0.5) / width) * (right - left);
      place[j * width + i] = Math.log10(Math.max(value(x, y) - lowest, 1e-300));
    }
  }
  const highest = place.reduce((a, b) => Math.max(a, b));
  place.forEach((power, k) => (place[k] = BANDS * (1 + (power - highest) / DEPTH)));
  const [low, high, level] = ["low", "high", "level"].map(channels);
  const image = new ImageData(width, height);
  for (let k = 0; k < place.length; k++) {
    const right = k % width < width - 1 ? k + 1 : k - 1;
    const below = k + width < place.length ? k + width : k - width;
    const slope = Math.hypot(place[right] - place[k], place[below] - place[k]);
    const distance = Math.abs(place[k] - Math.round(place[k])) / slope; // from the nearest line, in pixels
    const line = place[k] < 0.5 ? 0 : Math.min(1, Math.max(0, 1.1 - distance));
    const part = Math.max(0, Math.ceil(place[k])) / BANDS;
    for (let c = 0; c < 3; c++) {
      const ground = low[c] + part * (high[c] - low[c]);
      image.data[4 * k + c] = ground + line * (level[c] - ground);
    }
    image.data[4 * k + 3] = 255;
  }
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Draw the surface and the paths up to step t; returns the map between numbers and pixels. */
function drawMap(canvas, setting, paths, t) {
  const { view, minima } = SETTINGS.surfaces[setting.surface];
  const { pen, width, height } = fitted(canvas);
  const scale = frame(width, height, view, { left: 34, bottom: 26, top: 8, right: 10 });
  const { box, toX, toY } = scale;
  const ratio = window.devicePixelRatio || 1;
  pen.drawImage(
    surfaceImage(setting.surface, Math.round(box.w * ratio), Math.round(box.h * ratio)),
    box.x,
    box.y,
    box.w,
    box.h,
  );
  const [left, right, bottom, top] = view;
  axes(pen, scale, ticks(left, right, 5), ticks(bottom, top, 5), shown, false);
  pen.save();
  pen.beginPath();
  pen.rect(box.x, box.y, box.w, box.h);
  pen.clip();
  pen.strokeStyle = colour("ink");
  pen.lineWidth = 2;
  for (const [x, y] of minima) {
    line(pen, toX(x) - 5, toY(y) - 5, toX(x) + 5, toY(y) + 5);
    line(pen, toX(x) - 5, toY(y) + 5, toX(x) + 5, toY(y) - 5);
  }
  for (const path of paths)
    trail(
      pen,
      path.name,
      path.x.map((x, i) => [toX(x), toY(path.y[i])]),
      t,
    );
  pen.beginPath();
  pen.arc(toX(setting.x), toY(setting.y), 8, 0, 2 * Math.PI);
  pen.stroke();
  pen.restore();
  return scale;
}

// ---- curves ------------------------------------------------------------------------------------------------------------

/** Draw the loss above the surface's minimum, on a logarithmic axis. A diverging curve leaves through the top. */
function drawLoss(canvas, setting, paths, t) {
  const { lowest } = SETTINGS.surfaces[setting.surface];
  const { pen, width, height } = fitted(canvas);
  const gaps = paths.map(({ loss }) => loss.map((value) => Math.log10(Math.max(value - lowest, LOWEST_LOSS))));
  const first = Math.log10(Math.max(SURFACES[setting.surface].value(setting.x, setting.y) - lowest, 1e-3));
  const all = gaps.flat();
  const low = Math.floor(Math.min(first - 1, ...smallest(all)));
  const high = Math.ceil(Math.min(first + 3, Math.max(first + 0.1, ...largest(all))));
  const scale = frame(width, height, [0, setting.steps, low, high], { left: 46, bottom: 26, top: 8, right: 12 });
  const powers = ticks(low, high, Math.min(6, high - low)).filter(Number.isInteger);
  axes(pen, scale, ticks(0, setting.steps, 5).filter(Number.isInteger), powers, (power) => `10${superscript(power)}`);
  const { box, toX, toY } = scale;
  pen.save();
  pen.beginPath();
  pen.rect(box.x, box.y - 1, box.w + 12, box.h + 2);
  pen.clip();
  drawNow(pen, scale, t);
  paths.forEach((path, i) =>
    trail(
      pen,
      path.name,
      gaps[i].map((gap, step) => [toX(step), toY(gap)]),
      t,
    ),
  );
  pen.restore();
}

const smallest = (numbers) => (numbers.length ? [numbers.reduce((a, b) => Math.min(a, b))] : []);
const largest = (numbers) => (numbers.length ? [numbers.reduce((a, b) => Math.max(a, b))] : []);

/** Draw the schedule as a part of the rate that it is given. */
function drawRate(canvas, setting, t) {
  const { pen, width, height } = fitted(canvas);
  const scale = frame(width, height, [0, setting.steps, 0, 1.08], { left: 46, bottom: 26, top: 6, right: 12 });
  axes(pen, scale, ticks(0, setting.steps, 5).filter(Number.isInteger), [0, 0.5, 1]);
  drawNow(pen, scale, t);
  pen.strokeStyle = colour("accent");
  pen.lineWidth = 2.25;
  pen.beginPath();
  for (let step = 0; step <= setting.steps; step++) {
    const part = SCHEDULES[setting.schedule](step, setting.steps, 1, setting.shape[setting.schedule]);
    pen.lineTo(scale.toX(step), scale.toY(part));
  }
  pen.stroke();
}

/** A line at the step that is shown. */
function drawNow(pen, { box, toX }, t) {
  pen.strokeStyle = colour("soft");
  pen.lineWidth = 1;
  pen.setLineDash([3, 3]);
  line(pen, toX(t), box.y, toX(t), box.y + box.h);
  pen.setLineDash([]);
}
