// A text, coloured by its phrases.

/** So many tokens are on the page at a time. */
const PART = 1500;

const element = (name, text, properties = {}) => Object.assign(document.createElement(name), { textContent: text ?? "" }, properties);
export const signed = (value, digits = 4) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);

/** The colour of a score, from full blue for 1 to full orange for -1. */
export const colour = (share) =>
  `rgba(var(${share > 0 ? "--for" : "--against"}), ${(0.75 * Math.min(1, Math.abs(share))).toFixed(3)})`;

export class ColouredText {
  /** `onPhrase(index)` is called when the reader points at a phrase. */
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

  /** Shows a text as it was read. */
  show(text, reading, outputs) {
    const { centers, scores, explains } = reading;
    this.text = text;
    this.reading = reading;
    this.phraseOf = new Int32Array(reading.starts.length).fill(-1);
    centers.forEach((center, phrase) => center >= 0 && (this.phraseOf[center] = phrase));
    // Where not every token has a phrase of its own, it stands in that of the token before.
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

  /** The text under a phrase. */
  textOf(phrase) {
    const { starts, ends, firsts, lasts } = this.reading;
    let [first, last] = [firsts[phrase], lasts[phrase]];
    while (first < last && starts[first] === ends[first]) first++;
    while (first < last && starts[last - 1] === ends[last - 1]) last--;
    return first < last ? this.text.slice(starts[first], ends[last - 1]) : "";
  }

  /** The text of a token; what stands for nothing in the text has none. */
  textOfToken(token) {
    return this.text.slice(this.reading.starts[token], this.reading.ends[token]);
  }

  /** Chooses the phrase in whose middle a token stands, and shows its field. */
  choose(token) {
    const phrase = this.phraseOf[token];
    if (phrase < 0) return;
    const part = Math.floor(token / PART);
    if (part !== this.part) this.#turn(part);
    const { firsts, lasts } = this.reading;
    for (const [index, span] of this.spans) {
      span.classList.toggle("field", index >= firsts[phrase] && index < lasts[phrase]);
      span.classList.toggle("center", index === token);
      span.tabIndex = index === token ? 0 : -1;
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
    this.spans = new Map();
    let at = first === 0 ? 0 : starts[first];
    for (let token = first; token < last; token++) {
      if (starts[token] === ends[token]) continue;
      if (starts[token] > at) content.append(this.text.slice(at, starts[token]));
      const score = this.scoreOf(this.phraseOf[token]);
      const span = element("span", this.text.slice(starts[token], ends[token]), { tabIndex: -1 });
      span.dataset.token = token;
      span.dataset.score = score;
      span.style.backgroundColor = colour(score / this.largest);
      content.append(span);
      this.spans.set(token, span);
      at = ends[token];
    }
    const rest = last === this.phraseOf.length ? this.text.slice(at) : "";
    content.append(rest.slice(0, 10_000));
    this.root.replaceChildren(content);
    const [begin] = this.spans.values();
    if (begin) begin.tabIndex = 0;
    this.pager.root.hidden = this.parts === 1;
    this.pager.part.textContent = `part ${this.part + 1} of ${this.parts}`;
    this.pager.before.disabled = this.part === 0;
    this.pager.after.disabled = this.part === this.parts - 1;
  }

  #move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const tokens = [...this.spans.keys()];
    const here = tokens.indexOf(Number(event.target.dataset.token));
    const there = Math.max(0, Math.min(tokens.length - 1, here + step));
    this.spans.get(tokens[there])?.focus();
  }
}

export { element };
