// The page: controls made from settings.json, the animation, the results.
"use strict";

const canvases = { map: by("map"), loss: by("loss"), rate: by("rate") };
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

let { setting, ignored } = readAddress(location.hash);
let paths = [];
let shownStep = 0; // fractional while the animation runs
let playing = null; // the time of the last picture, while it runs
let mapScale = null;

// ---- messages ----------------------------------------------------------------------------------------------------------

let announcement = 0;

/** Tell readers of the screen, once changes have come to rest; a warning is also shown. */
function say(text, warn = false) {
  clearTimeout(announcement);
  announcement = setTimeout(() => (by("live").textContent = text), 400);
  by("notice").hidden = !warn;
  by("notice").textContent = warn ? text : "";
}

// ---- building the controls ---------------------------------------------------------------------------------------------

/** Fields that show values which other controls change as well. */
let live = [];

function fillSelect(id, rows) {
  by(id).replaceChildren(...Object.entries(rows).map(([value, { name }]) => element("option", { value }, name)));
}

function build() {
  live = [];
  const field = (...args) => {
    const made = numberField(...args);
    live.push(made);
    return made.whole;
  };
  const { controls } = SETTINGS;
  by("start-numbers").replaceChildren(
    field("x", "Start x", changed, { slider: false }),
    field("y", "Start y", changed, { slider: false }),
  );
  by("run-numbers").replaceChildren(
    ...["steps", "noise", "seed"].map((key) => field(key, controls[key].label, changed)),
  );
  const numbers = SETTINGS.schedules[setting.schedule].numbers;
  by("schedule-numbers").replaceChildren(
    ...Object.keys(numbers).map((key) => field(`${setting.schedule}.${key}`, numbers[key].label, changed)),
  );
  by("clip-numbers").replaceChildren(...(setting.clip === "none" ? [] : [field("clip.at", "Threshold c", changed)]));
  by("common-rate").replaceChildren(
    field("common", "Learning rate α, for all chosen", changed, { read: commonRate, write: setRates }),
  );
  by("optimizers").replaceChildren(...Object.keys(SETTINGS.optimizers).map(chip));
  by("cards").replaceChildren(...setting.optimizers.map((name) => card(name, field)));
  for (const id of ["surface", "schedule", "clip", "theme"]) by(id).value = setting[id];
  const surface = SETTINGS.surfaces[setting.surface];
  by("surface-lesson").textContent = surface.lesson;
  by("surface-formula").replaceChildren(...formulaLines(surface.formulas));
  by("schedule-formula").replaceChildren(...formulaLines(SETTINGS.schedules[setting.schedule].formulas));
  by("clip-formula").replaceChildren(...formulaLines(SETTINGS.clips[setting.clip].formulas));
  document.documentElement.dataset.theme = setting.theme;
}

function chip(name) {
  const box = element("input", { type: "checkbox", id: `o-${name}`, checked: setting.optimizers.includes(name) });
  box.addEventListener("change", () => {
    setting.optimizers = Object.keys(SETTINGS.optimizers).filter((other) => by(`o-${other}`).checked);
    rebuilt();
  });
  return element(
    "label",
    { className: "chip" },
    box,
    element("span", {}, sample(name), SETTINGS.optimizers[name].short),
  );
}

function card(name, field) {
  const { name: title, formulas, numbers } = SETTINGS.optimizers[name];
  const rules = element("div", { className: "rules" }, ...formulaLines(formulas));
  const made = element("article", { className: "card" }, element("h3", {}, sample(name), title), rules);
  made.setAttribute("aria-label", title);
  for (const [key, label] of [["lr", "α"], ...Object.entries(numbers).map(([key, number]) => [key, number.label])]) {
    const one = field(`${name}.${key}`, label, changed);
    for (const input of one.querySelectorAll("input")) input.setAttribute("aria-label", `${label} of ${title}`);
    made.append(one);
  }
  return made;
}

/** The rate that all chosen optimizers have, or undefined. */
function commonRate() {
  const rates = setting.optimizers.map((name) => setting.own[name].lr);
  return rates.every((rate) => rate === rates[0]) ? rates[0] : undefined;
}

function setRates(value) {
  for (const name of setting.optimizers) setting.own[name].lr = value;
}

// ---- computing and drawing ---------------------------------------------------------------------------------------------

/** After a change of a value: compute, draw, write the address. */
function changed() {
  compute();
  for (const { whole, show } of live) if (!whole.contains(document.activeElement)) show();
}

/** After a change of what there is to set. The focus stays where it was. */
function rebuilt() {
  const focused = document.activeElement?.id;
  build();
  compute();
  if (focused && document.activeElement?.id !== focused) by(focused)?.focus();
}

let remember = null; // a slider that moves changes more often than browsers let an address be written

/** Write the setting into the page's address. */
function writeDown() {
  clearTimeout(remember);
  remember = null;
  const address = writeAddress(setting);
  history.replaceState(null, "", address);
  by("python").textContent = `from minigrad import lab; paths = lab.run("${address.slice(1)}")`;
}

function compute() {
  paths = setting.optimizers.map((name) => trajectory(setting, name));
  if (playing === null) shownStep = setting.steps;
  shownStep = Math.min(shownStep, setting.steps);
  by("scrub").max = setting.steps;
  remember ??= setTimeout(writeDown, 200);
  fillTable();
  draw();
  say(
    paths.length
      ? `${SETTINGS.surfaces[setting.surface].name}. ${paths.map(summary).join(" ")}`
      : "No optimizer is chosen.",
  );
}

const gap = (loss) => Math.max(loss - SETTINGS.surfaces[setting.surface].lowest, 0);
const final = (list) => list[list.length - 1];

function summary(path) {
  const { short } = SETTINGS.optimizers[path.name];
  return path.diverged
    ? `${short} diverged at step ${path.diverged}.`
    : `${short}: ${shown(gap(final(path.loss)), 3)}.`;
}

function draw() {
  const t = Math.round(shownStep);
  mapScale = drawMap(canvases.map, setting, paths, t);
  drawLoss(canvases.loss, setting, paths, t);
  drawRate(canvases.rate, setting, t);
  by("scrub").value = t;
  by("scrub").setAttribute("aria-valuetext", `step ${t} of ${setting.steps}`);
  by("now").textContent = `step ${t} of ${setting.steps}`;
  const name = SETTINGS.surfaces[setting.surface].name;
  canvases.map.setAttribute("aria-label", `Surface ${name}, start at x ${shown(setting.x)}, y ${shown(setting.y)}`);
  canvases.loss.setAttribute("aria-label", `Loss curves on ${name}. ${paths.map(summary).join(" ")}`);
  canvases.rate.setAttribute("aria-label", `Learning rate, schedule ${SETTINGS.schedules[setting.schedule].name}`);
  fillLegend(t);
}

function fillLegend(t) {
  const rows = paths.map((path) => {
    const over = path.diverged !== null && t >= path.diverged;
    const at = Math.min(t, path.loss.length - 1);
    const rate = path.alpha[Math.min(t, path.alpha.length - 1)];
    const words = over
      ? [element("span", { className: "diverged" }, `diverged at step ${path.diverged}`)]
      : [
          element("span", {}, shown(gap(path.loss[at]), 3)),
          element("span", { className: "soft" }, `α ${shown(rate, 3)}`),
        ];
    return element("li", {}, sample(path.name), element("b", {}, SETTINGS.optimizers[path.name].short), ...words);
  });
  by("legend").replaceChildren(...(rows.length ? rows : [element("li", {}, "Choose an optimizer to see its path.")]));
}

function outcome(path, distance) {
  if (path.diverged) return `diverged at step ${path.diverged}`;
  if (distance < 1e-3) return "at a minimum";
  return final(path.loss) > path.loss[0] ? "higher than at first" : "on its way";
}

function fillTable() {
  const { minima } = SETTINGS.surfaces[setting.surface];
  const rows = paths.map((path) => {
    const [x, y] = [final(path.x), final(path.y)];
    const distance = Math.min(...minima.map(([a, b]) => Math.hypot(x - a, y - b)));
    const first = path.loss.findIndex((loss) => gap(loss) < 1e-3);
    const result = element("td", { className: path.diverged ? "diverged" : "" }, outcome(path, distance));
    const cells = [
      path.alpha.length,
      shown(x),
      shown(y),
      shown(gap(final(path.loss))),
      shown(distance),
      first < 0 ? "never" : first,
    ];
    const head = element("th", { scope: "row" }, SETTINGS.optimizers[path.name].short);
    const rate = element("td", {}, shown(setting.own[path.name].lr, 3));
    return element("tr", {}, head, rate, result, ...cells.map((text) => element("td", {}, String(text))));
  });
  by("table").replaceChildren(...rows);
}

// ---- the animation -----------------------------------------------------------------------------------------------------

function play() {
  if (shownStep >= setting.steps) shownStep = 0;
  playing = performance.now();
  by("play").textContent = "Pause";
  requestAnimationFrame(advance);
}

function pause() {
  playing = null;
  shownStep = Math.round(shownStep);
  by("play").textContent = "Play";
}

function advance(now) {
  if (playing === null) return;
  // Who asked for less motion sees two still pictures a second.
  const wait = calm.matches ? 500 : 0;
  if (now - playing >= wait) {
    shownStep = Math.min(setting.steps, shownStep + (Math.max(0, now - playing) / 1000) * Number(by("speed").value));
    playing = now;
    draw();
  }
  if (shownStep >= setting.steps) pause();
  else requestAnimationFrame(advance);
}

function goTo(step) {
  pause();
  shownStep = Math.min(Math.max(step, 0), setting.steps);
  draw();
}

by("play").addEventListener("click", () => (playing === null ? play() : pause()));
by("first").addEventListener("click", () => goTo(0));
by("last").addEventListener("click", () => goTo(setting.steps));
by("back").addEventListener("click", () => goTo(Math.round(shownStep) - 1));
by("forward").addEventListener("click", () => goTo(Math.round(shownStep) + 1));
by("scrub").addEventListener("input", () => goTo(Number(by("scrub").value)));

// ---- the start: by pointer, and by arrow keys --------------------------------------------------------------------------

function setStart(x, y) {
  const {
    view: [left, right, bottom, top],
  } = SETTINGS.surfaces[setting.surface];
  const inside = (value, low, high) => Number(Math.min(Math.max(value, low), high).toFixed(3));
  setting.x = inside(x, left, right);
  setting.y = inside(y, bottom, top);
  changed();
}

let dragged = false;

/** Where on the surface the pointer is. */
function pointAt(event) {
  const { left, top } = canvases.map.getBoundingClientRect();
  return [mapScale.fromX(event.clientX - left), mapScale.fromY(event.clientY - top)];
}

const startAt = (event) => setStart(...pointAt(event));

canvases.map.addEventListener("pointerdown", (event) => {
  dragged = event.pointerType !== "touch"; // a finger that moves scrolls the page; its tap is a click
});
canvases.map.addEventListener("pointermove", (event) => {
  if (dragged && event.buttons) startAt(event);
  const [x, y] = pointAt(event);
  const [left, right, bottom, top] = SETTINGS.surfaces[setting.surface].view;
  const inside = left <= x && x <= right && bottom <= y && y <= top;
  const loss = SURFACES[setting.surface].value(x, y);
  by("under").textContent = inside ? `x ${shown(x, 3)}, y ${shown(y, 3)}: loss ${shown(loss, 3)}` : "";
});
canvases.map.addEventListener("pointerleave", () => (by("under").textContent = ""));
canvases.map.addEventListener("click", startAt);
canvases.map.addEventListener("keydown", (event) => {
  const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (event.key !== "Home" && !direction) return;
  event.preventDefault();
  const { view, start } = SETTINGS.surfaces[setting.surface];
  const stride = (view[1] - view[0]) / (event.shiftKey ? 10 : 50);
  if (direction) setStart(setting.x + stride * direction[0], setting.y + stride * direction[1]);
  else setStart(...start);
});

// ---- the other controls ------------------------------------------------------------------------------------------------

by("surface").addEventListener("change", () => {
  Object.assign(setting, surfaceDefaults(by("surface").value));
  for (const name in setting.own) setting.own[name].lr = customaryRate(setting.surface, name);
  rebuilt();
});
for (const id of ["schedule", "clip", "theme"]) {
  by(id).addEventListener("change", () => {
    setting[id] = by(id).value;
    rebuilt();
  });
}
by("usual-rates").addEventListener("click", () => {
  for (const name of setting.optimizers) setting.own[name].lr = customaryRate(setting.surface, name);
  rebuilt();
});
by("reset").addEventListener("click", () => {
  pause();
  setting = { ...defaultSetting(), theme: setting.theme };
  rebuilt();
});
by("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address after # is the setting
  by("play").focus();
});
by("share").addEventListener("click", async () => {
  writeDown();
  try {
    await navigator.clipboard.writeText(location.href);
    by("share").textContent = "Copied";
    setTimeout(() => (by("share").textContent = "Copy link"), 1500);
    say("The link to this setting is copied.");
  } catch {
    say("The browser does not let a page copy here: the link is in the address bar.", true);
  }
});
by("export").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([csv(paths)], { type: "text/csv" }));
  element("a", { href: url, download: `lab-${setting.surface}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
});
window.addEventListener("hashchange", () => {
  clearTimeout(remember);
  remember = null;
  pause();
  begin();
});
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
new ResizeObserver(draw).observe(by("map"));

function begin() {
  ({ setting, ignored } = readAddress(location.hash));
  rebuilt();
  if (ignored.length > 0) say(`Left out of the address, as it says nothing here: ${ignored.join(", ")}.`, true);
}

for (const id of ["surface", "schedule", "clip"])
  fillSelect(id, { surface: SETTINGS.surfaces, schedule: SETTINGS.schedules, clip: SETTINGS.clips }[id]);
begin();
