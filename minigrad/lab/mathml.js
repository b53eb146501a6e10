// Formulas from text, as MathML. The text is what one would type: `θ_{t+1} = θ_t - \frac{α_t}{\sqrt{v + ε}} g_t`.
// Letters, numbers and words; `_` and `^` with a letter, a number or a {group}; \frac{}{}, \sqrt{}, \hat{}.
"use strict";

const MATHML = "http://www.w3.org/1998/Math/MathML";

function mathElement(name, ...children) {
  const element = document.createElementNS(MATHML, name);
  element.append(...children);
  return element;
}

/** The tokens of a formula: commands, words, numbers, single signs. */
const tokens = (text) => text.match(/\\[a-z]+|[0-9]+(?:\.[0-9]+)?|[a-z]{2,}|\S/giu) ?? [];

function operator(sign, stretchy) {
  const made = mathElement("mo", sign);
  made.setAttribute("stretchy", stretchy);
  if (sign === "|" || sign === "‖") for (const side of ["lspace", "rspace"]) made.setAttribute(side, "0");
  return made;
}

class FormulaReader {
  constructor(text) {
    this.rest = tokens(text);
    this.begun = false;
  }

  /** Everything up to the sign that closes it, or to the end. */
  row(end = "}") {
    const items = [];
    while (this.rest.length > 0 && this.rest[0] !== end) items.push(this.scripted());
    return mathElement("mrow", ...items);
  }

  /** A bracket and what it holds: as high as a fraction in it, else as high as a line. */
  bracket() {
    const inside = this.row(")");
    this.rest.shift();
    const tall = inside.querySelector("mfrac") !== null;
    return mathElement("mrow", operator("(", tall), inside, operator(")", tall));
  }

  group() {
    if (this.rest[0] !== "{") return this.single();
    this.rest.shift();
    const row = this.row();
    this.rest.shift();
    return row;
  }

  /** One thing, with what hangs below and above it. */
  scripted() {
    const base = this.single();
    const hung = {};
    while (this.rest[0] === "_" || this.rest[0] === "^") hung[this.rest.shift()] = this.group();
    if (hung._ && hung["^"]) return mathElement("msubsup", base, hung._, hung["^"]);
    if (hung._) return mathElement("msub", base, hung._);
    return hung["^"] ? mathElement("msup", base, hung["^"]) : base;
  }

  single() {
    const token = this.rest.shift();
    const before = this.begun ? "\u00a0" : "";
    this.begun = true;
    if (token === "\\frac") return mathElement("mfrac", this.group(), this.group());
    if (token === "\\sqrt") return mathElement("msqrt", this.group());
    if (token === "\\hat") {
      const over = mathElement("mover", this.group(), operator("^", false));
      over.setAttribute("accent", "true");
      return over;
    }
    if (token === "(") return this.bracket();
    if (token === "∇") return upright(token);
    if (/^[0-9½¼]/u.test(token)) return mathElement("mn", token);
    if (/^\p{L}{2,}$/u.test(token)) return this.word(token, before);
    if (/^[\p{L}∞]/u.test(token)) return mathElement("mi", token);
    return operator(token === "-" ? "−" : token, false);
  }

  /** A function's name stands close to its bracket, a word of speech keeps its distance. */
  word(token, before) {
    if (this.rest[0] === "(" || this.rest[0] === "}") return mathElement("mtext", token);
    const words = [token];
    while (/^\p{L}{2,}$/u.test(this.rest[0] ?? "")) words.push(this.rest.shift());
    return mathElement("mtext", `${before}${words.join(" ")}\u00a0`);
  }
}

function upright(sign) {
  const made = mathElement("mi", sign);
  made.setAttribute("mathvariant", "normal");
  return made;
}

/** The parts of a text between commas that stand outside of all brackets. */
function parts(text) {
  const found = [""];
  let depth = 0;
  for (const sign of text) {
    depth += (sign === "(") - (sign === ")");
    if (sign === "," && depth === 0) found.push("");
    else found[found.length - 1] += sign;
  }
  return found.map((part) => part.trim());
}

/** Formulas for the page, a line each. A long one may break where a comma parts it. */
function formulaLines(texts) {
  return texts.map((text) => {
    const line = document.createElement("div");
    line.className = "formula";
    parts(text).forEach((part, i, all) => {
      const math = mathElement("math", new FormulaReader(part).row());
      math.setAttribute("aria-label", part.replace(/[\\{}]/g, ""));
      const unbroken = document.createElement("span");
      unbroken.append(math, i < all.length - 1 ? "," : "");
      line.append(unbroken, " ");
    });
    return line;
  });
}
