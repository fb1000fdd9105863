// Shows a text, coloured by the scores of its phrases.

import { element, signed } from "./dom.js";

/** How many tokens are shown at a time. */
const PART = 1500;
/** More characters than this between two tokens are counted instead of shown. */
const GAP = 200;

/** The colour of a score, from blue for 1 to orange for -1. The style sheet sets the strength. */
export const colour = (share) =>
  `rgba(var(${share > 0 ? "--for" : "--against"}), calc(var(--strength) * ${Math.min(1, Math.abs(share)).toFixed(3)}))`;

export class ColouredText {
  /** `onPhrase(index)` is called when the user points at a phrase. */
  constructor(root, pager, onPhrase) {
    Object.assign(this, { root, pager, onPhrase, part: 0 });
    const pointed = (event) => {
      const token = event.target.closest?.("span")?.dataset.token;
      if (token !== undefined) this.choose(Number(token));
    };
    root.addEventListener("pointerover", pointed);
    root.addEventListener("click", pointed);
    root.addEventListener("focusin", pointed);
    root.addEventListener("keydown", (event) => this.#move(event));
    pager.before.onclick = () => this.#turn(this.part - 1);
    pager.after.onclick = () => this.#turn(this.part + 1);
  }

  /** Shows a text and its reading. */
  show(text, reading, outputs) {
    const { centers, scores, explains } = reading;
    if (text !== this.text) this.part = 0;
    this.text = text;
    this.reading = reading;
    this.phraseOf = new Int32Array(reading.starts.length).fill(-1);
    centers.forEach((center, phrase) => center >= 0 && (this.phraseOf[center] = phrase));
    // A token without a phrase of its own belongs to that of the token before.
    for (let token = 1; token < this.phraseOf.length; token++) {
      if (this.phraseOf[token] < 0) this.phraseOf[token] = this.phraseOf[token - 1];
    }
    this.scoreOf = (phrase) => (phrase < 0 ? 0 : scores[phrase * outputs + explains]);
    this.largest = 1e-9;
    centers.forEach((center, phrase) => {
      if (center >= 0) this.largest = Math.max(this.largest, Math.abs(this.scoreOf(phrase)));
    });
    this.parts = Math.max(1, Math.ceil(this.phraseOf.length / PART));
    this.part = Math.min(this.part, this.parts - 1);
    this.#draw();
  }

  /** The text of a phrase, or its beginning. */
  textOf(phrase) {
    const { starts, ends, firsts, lasts } = this.reading;
    let [first, last] = [firsts[phrase], lasts[phrase]];
    while (first < last && starts[first] === ends[first]) first++;
    while (first < last && starts[last - 1] === ends[last - 1]) last--;
    const text = first < last ? this.text.slice(starts[first], Math.min(ends[last - 1], starts[first] + 1000)) : "";
    return text.replace(/\s+/g, " ");
  }

  /** The text of a token; empty if the token stands for nothing in the text. */
  textOfToken(token) {
    return this.text.slice(this.reading.starts[token], this.reading.ends[token]);
  }

  /** Selects the phrase with this token in its middle, and marks the tokens in it. */
  choose(token) {
    const phrase = this.phraseOf[token];
    if (phrase < 0) return;
    const part = Math.floor(token / PART);
    if (part !== this.part) this.#turn(part);
    const [first, last] = [this.reading.firsts[phrase], this.reading.lasts[phrase]];
    const field = new Set();
    for (const [index, span] of this.spanOf) if (index >= first && index < last) field.add(span);
    const center = this.spanOf.get(token);
    for (const span of this.spans) {
      span.classList.toggle("field", field.has(span));
      span.classList.toggle("center", span === center);
      span.setAttribute("aria-selected", span === center);
      if (center) span.tabIndex = span === center ? 0 : -1;
    }
    this.onPhrase(phrase);
  }

  #turn(part) {
    this.part = Math.max(0, Math.min(this.parts - 1, part));
    this.#draw();
  }

  #draw() {
    const { starts, ends } = this.reading;
    const [first, last] = [this.part * PART, Math.min(this.phraseOf.length, (this.part + 1) * PART)];
    const content = document.createDocumentFragment();
    [this.spans, this.spanOf] = [[], new Map()];
    let at = first === 0 ? 0 : starts[first];
    for (let token = first; token < last; token++) {
      if (starts[token] === ends[token]) continue;
      let span = this.spans.at(-1);
      // Tokens that overlap the one before, such as the bytes of one character, share its span.
      if (!span || starts[token] >= at) {
        content.append(this.#gap(at, starts[token], at === 0 ? "before this" : "here"));
        span = this.#span(token);
        content.append(span);
      } else if (ends[token] > at) span.append(this.text.slice(at, ends[token]));
      this.spanOf.set(token, span);
      at = Math.max(at, ends[token]);
    }
    const isLast = last === this.phraseOf.length;
    content.append(this.#gap(at, isLast ? this.text.length : starts[last], isLast ? "after this" : "here"));
    this.root.replaceChildren(content);
    if (this.spans.length) this.spans[0].tabIndex = 0;
    this.pager.root.hidden = this.parts === 1;
    this.pager.part.textContent = `part ${this.part + 1} of ${this.parts}`;
    this.pager.before.disabled = this.part === 0;
    this.pager.after.disabled = this.part === this.parts - 1;
  }

  #span(token) {
    const text = this.textOfToken(token);
    const score = this.scoreOf(this.phraseOf[token]);
    const span = element("span", text, { tabIndex: -1 });
    Object.assign(span.dataset, { token, score });
    span.setAttribute("role", "option");
    span.setAttribute("aria-selected", false);
    span.setAttribute("aria-label", `${text}, ${signed(score, 2)}`);
    span.style.backgroundColor = colour(score / this.largest);
    this.spans.push(span);
    return span;
  }

  /** The characters between tokens. They can be many: some models read only the end of a text. */
  #gap(from, to, where) {
    if (to - from <= GAP) return this.text.slice(from, Math.max(from, to));
    return element("em", `… ${(to - from).toLocaleString("en")} characters ${where} are not read … `, { className: "quiet" });
  }

  #move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const there = this.spans.indexOf(event.target) + step;
    const turned = this.part + Math.sign(step);
    const isOver = Number.isFinite(step) && (there < 0 || there >= this.spans.length);
    if (isOver && turned >= 0 && turned < this.parts) {
      this.#turn(turned);
      return this.spans.at(step > 0 ? 0 : -1)?.focus();
    }
    this.spans[Math.max(0, Math.min(this.spans.length - 1, there))]?.focus();
  }
}
