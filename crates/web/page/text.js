// Shows a text, coloured by the scores of its phrases.

import { signed } from "./dom.js";
import { colour, gap, option } from "./words.js";

/** How many tokens are shown at a time. */
const PART = 1500;

export class ColouredText {
  kind = "phrases";
  unit = "phrase";

  /** `onPhrase(index)` is called when the user points at a phrase. */
  constructor(box, onPhrase) {
    Object.assign(this, { box, onPhrase, part: 0 });
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
    if (part !== this.part) this.turn(part);
    const [first, last] = [this.reading.firsts[phrase], this.reading.lasts[phrase]];
    const field = new Set();
    for (const [index, span] of this.spanOf) if (index >= first && index < last) field.add(span);
    this.box.mark(this.spanOf.get(token), field);
    this.onPhrase(phrase);
  }

  turn(part) {
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
        content.append(gap(this.text, at, starts[token], at === 0 ? "before this" : "here"));
        span = this.#span(token);
        content.append(span);
      } else if (ends[token] > at) span.append(this.text.slice(at, ends[token]));
      this.spanOf.set(token, span);
      at = Math.max(at, ends[token]);
    }
    const isLast = last === this.phraseOf.length;
    content.append(gap(this.text, at, isLast ? this.text.length : starts[last], isLast ? "after this" : "here"));
    this.box.show(this, content, this.spans, this.part, this.parts);
  }

  #span(token) {
    const text = this.textOfToken(token);
    const score = this.scoreOf(this.phraseOf[token]);
    const span = option(token, text, `${text}, ${signed(score, 2)}`);
    span.dataset.score = score;
    span.style.backgroundColor = colour(score / this.largest);
    this.spans.push(span);
    return span;
  }
}
