// Number fields: a slider and a box for one value. They read and write `setting`, and tell of errors by `say`, of page.js.
"use strict";

const by = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const SLIDER_STEPS = 1000;

/**
 * Where a value stands on its slider, from 0 to 1, and back. On a logarithmic field equal distances are equal ratios; on
 * a complementary one, for momenta, equal ratios of 1 - β: from 0.9 to 0.99 is as far as from 0.99 to 0.999.
 */
const SCALES = {
  linear: { to: (x, min, max) => (x - min) / (max - min), from: (part, min, max) => min + part * (max - min) },
  log: {
    to: (x, min, max) => Math.log(x / min) / Math.log(max / min),
    from: (part, min, max) => min * (max / min) ** part,
  },
  complement: {
    to: (x, min, max) => Math.log((1 - x) / (1 - min)) / Math.log((1 - max) / (1 - min)),
    from: (part, min, max) => 1 - rounded((1 - min) * ((1 - max) / (1 - min)) ** part),
  },
};

const toSlider = ({ min, max, scale = "linear" }, x) => SLIDER_STEPS * SCALES[scale].to(x, min, max);

function fromSlider({ min, max, scale = "linear", whole, step }, position) {
  const raw = SCALES[scale].from(position / SLIDER_STEPS, min, max);
  if (whole) return Math.round(raw);
  const value = step ? Math.round(raw / step) * step : raw;
  return Math.min(Math.max(Number(value.toPrecision(scale === "complement" ? 7 : 3)), min), max);
}

/** The next value of a field up or down: a hundredth of its slider on, or by 1 where that is more. */
function nextValue(field, value, direction) {
  const position = toSlider(field, value) + (direction * SLIDER_STEPS) / 100;
  const next = fromSlider(field, Math.min(Math.max(position, 0), SLIDER_STEPS));
  if (!field.whole || next !== value) return next;
  return Math.min(Math.max(value + direction, field.min), field.max);
}

/** A labelled box with a slider for the field `key`. `change` is called after the value has been set. */
function numberField(key, label, change, { slider = true, read, write } = {}) {
  const field = fields(setting)[key] ?? { ...SETTINGS.controls.lr };
  read ??= () => fields(setting)[key].of[field.key];
  write ??= (value) => (fields(setting)[key].of[field.key] = value);
  const box = element("input", {
    type: "number",
    id: `n-${key}`,
    min: field.min,
    max: field.max,
    step: "any",
    inputMode: "decimal",
  });
  const name = element("label", { htmlFor: box.id }, label);
  const bar = element("input", { type: "range", min: 0, max: SLIDER_STEPS, step: 1, id: `s-${key}` });
  bar.setAttribute("aria-label", label);
  const show = () => {
    const value = read();
    box.value = value ?? "";
    box.placeholder = value === undefined ? "differ" : "";
    box.removeAttribute("aria-invalid");
    if (value !== undefined) bar.value = toSlider(field, value);
    bar.setAttribute("aria-valuetext", value === undefined ? "differ" : shown(value));
  };
  const set = (value) => {
    write(value);
    change();
  };
  bar.addEventListener("input", () => {
    set(fromSlider(field, Number(bar.value)));
    box.value = read();
    bar.setAttribute("aria-valuetext", shown(read()));
  });
  box.addEventListener("change", () => {
    const value = readValue(field, box.value);
    if (value === undefined) {
      box.setAttribute("aria-invalid", "true");
      const kind = field.whole ? "a whole number" : "a number";
      say(`${label}: expected ${kind} from ${field.min} to ${field.max}.`, true);
      return;
    }
    set(value);
    show();
  });
  box.addEventListener("keydown", (event) => {
    const direction = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!direction || read() === undefined) return;
    event.preventDefault();
    set(nextValue(field, read(), direction));
    show();
  });
  show();
  const whole = element("div", { className: "number" }, name, ...(slider ? [bar] : []), box);
  return { whole, show };
}
