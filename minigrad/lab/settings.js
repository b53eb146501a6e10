// A setting of the lab: what may be chosen, what is chosen at first, and how it is written in the page's address.
// SETTINGS is settings.json. minigrad/lab/settings.py reads the same addresses.
"use strict";

/** A product of settings, rounded as one writes such numbers: 0.34 · 0.3 is 0.102. */
const rounded = (x) => Number(x.toPrecision(3));

/** The rate that works on a surface for an optimizer. */
function customaryRate(surface, optimizer) {
  const { kind, factor } = SETTINGS.optimizers[optimizer];
  const { rate, adaptive } = SETTINGS.surfaces[surface];
  return rounded(factor * { rate, adaptive, fixed: 1 }[kind]);
}

const values = (numbers) => Object.fromEntries(Object.entries(numbers).map(([key, { value }]) => [key, value]));

/** What a surface brings: its start, how many steps it takes, its noise. */
function surfaceDefaults(surface) {
  const { start, steps, noise } = SETTINGS.surfaces[surface];
  return { surface, x: start[0], y: start[1], steps, noise };
}

/** The setting that the page begins with, on the surface of that name. */
function defaultSetting(surface = SETTINGS.chosen.surface) {
  const own = {};
  for (const [name, { numbers }] of Object.entries(SETTINGS.optimizers)) {
    own[name] = { lr: customaryRate(surface, name), ...values(numbers) };
  }
  const shape = {};
  for (const [name, { numbers }] of Object.entries(SETTINGS.schedules)) shape[name] = values(numbers);
  return {
    ...surfaceDefaults(surface),
    optimizers: [...SETTINGS.chosen.optimizers],
    own,
    schedule: SETTINGS.chosen.schedule,
    shape,
    seed: SETTINGS.controls.seed.value,
    clip: SETTINGS.chosen.clip,
    clipAt: SETTINGS.controls["clip.at"].value,
    theme: "auto",
  };
}

/** The single values of a setting by the key that they have in an address: where each is kept, and what it may be. */
function fields(setting) {
  const { controls, surfaces, schedules, optimizers, clips } = SETTINGS;
  const [left, right, bottom, top] = surfaces[setting.surface].view;
  const found = {
    surface: { of: setting, key: "surface", choices: Object.keys(surfaces) },
    x: { of: setting, key: "x", min: left, max: right },
    y: { of: setting, key: "y", min: bottom, max: top },
    schedule: { of: setting, key: "schedule", choices: Object.keys(schedules) },
    steps: { of: setting, key: "steps", ...controls.steps },
    noise: { of: setting, key: "noise", ...controls.noise },
    seed: { of: setting, key: "seed", ...controls.seed },
    clip: { of: setting, key: "clip", choices: Object.keys(clips) },
    "clip.at": { of: setting, key: "clipAt", ...controls["clip.at"] },
    theme: { of: setting, key: "theme", choices: ["auto", "light", "dark"] },
  };
  for (const [name, { numbers }] of Object.entries(schedules)) {
    for (const key in numbers) found[`${name}.${key}`] = { of: setting.shape[name], key, ...numbers[key] };
  }
  for (const [name, { numbers }] of Object.entries(optimizers)) {
    found[`${name}.lr`] = { of: setting.own[name], key: "lr", ...controls.lr };
    for (const key in numbers) found[`${name}.${key}`] = { of: setting.own[name], key, ...numbers[key] };
  }
  return found;
}

/** The value of a field written as text, or undefined if it is not one of those that the field may have. */
function readValue(field, text) {
  if (field.choices) return field.choices.includes(text) ? text : undefined;
  const value = text.trim() === "" ? NaN : Number(text);
  const good = value >= field.min && value <= field.max && (!field.whole || Number.isInteger(value));
  return good ? value : undefined;
}

/** The setting of an address, and the parts of the address that say nothing. */
function readAddress(hash) {
  const entries = new URLSearchParams(hash.replace(/^#/, ""));
  const surface = entries.get("surface");
  const setting = defaultSetting(surface in SETTINGS.surfaces ? surface : undefined);
  const known = fields(setting);
  const ignored = [];
  for (const [name, text] of entries) {
    if (name === "optimizers") {
      const asked = text.split(",").filter((item) => item !== "");
      setting.optimizers = Object.keys(OPTIMIZERS).filter((item) => asked.includes(item));
      ignored.push(...asked.filter((item) => !(item in OPTIMIZERS)).map((item) => `optimizers=${item}`));
      continue;
    }
    const value = Object.hasOwn(known, name) ? readValue(known[name], text) : undefined;
    if (value === undefined) ignored.push(`${name}=${text}`);
    else known[name].of[known[name].key] = value;
  }
  return { setting, ignored };
}

/** The address of a setting: the surface, the optimizers, and all that differs from the surface's defaults. */
function writeAddress(setting) {
  const parts = [`surface=${setting.surface}`, `optimizers=${setting.optimizers.join(",")}`];
  const usual = fields(defaultSetting(setting.surface));
  for (const [name, { of, key }] of Object.entries(fields(setting))) {
    const [owner, number] = name.split(".");
    const idle =
      number !== undefined && owner !== "clip" && owner !== setting.schedule && !setting.optimizers.includes(owner);
    if (name !== "surface" && !idle && of[key] !== usual[name].of[usual[name].key]) parts.push(`${name}=${of[key]}`);
  }
  return `#${parts.join("&")}`;
}

/** A run as a table for other programs: a line for each optimizer and step, the rate being that of the step to come. */
function csv(paths) {
  const lines = ["optimizer,step,alpha,x,y,loss,diverged_at"];
  for (const path of paths) {
    path.x.forEach((x, t) => {
      lines.push([path.name, t, path.alpha[t] ?? "", x, path.y[t], path.loss[t], path.diverged ?? ""].join(","));
    });
  }
  return lines.join("\r\n") + "\r\n";
}
