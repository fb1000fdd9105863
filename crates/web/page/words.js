// A text whose tokens can be pointed at, tapped, and moved between with the keyboard, a part of a long text at a time.

import { by, element } from "./dom.js";

/** More characters than this between two tokens are counted instead of shown. */
const GAP = 200;

/** The colour of a score, from blue for 1 to orange for -1. The style sheet sets the strength. */
export const colour = (share) =>
  `rgba(var(${share > 0 ? "--for" : "--against"}), calc(var(--strength) * ${Math.min(1, Math.abs(share)).toFixed(3)}))`;

/** The characters of a text between tokens. They can be many: some models read only the end of a text. */
export function gap(text, from, to, where) {
  if (to - from <= GAP) return text.slice(from, Math.max(from, to));
  return element("em", `… ${(to - from).toLocaleString("en")} characters ${where} are not read … `, { className: "quiet" });
}

/** The span of a token; `said` is what screen readers say of it. */
export function option(token, text, said) {
  const span = element("span", text, { tabIndex: -1 });
  span.dataset.token = token;
  span.setAttribute("role", "option");
  span.setAttribute("aria-selected", false);
  span.setAttribute("aria-label", said);
  return span;
}

/** Shows what is known about the chosen phrase or word. Screen readers announce the sentence only; the tables can be
 *  navigated. */
export function showChosen(sentence, content) {
  by("phrase-said").textContent = sentence;
  by("phrase-said").className = content ? "" : "quiet";
  by("phrase-parts").replaceChildren(...(content ?? []));
  by("one-phrase").classList.toggle("chosen", Boolean(content));
}

/** The box that shows the text. Both views of a text use it. */
export class WordBox {
  constructor() {
    Object.assign(this, { root: by("coloured"), spans: [] });
    const pointed = (event) => {
      const token = event.target.closest?.("[data-token]")?.dataset.token;
      if (token !== undefined) this.view.choose(Number(token));
    };
    this.root.addEventListener("pointerover", pointed);
    this.root.addEventListener("click", pointed);
    this.root.addEventListener("focusin", pointed);
    this.root.addEventListener("keydown", (event) => this.#move(event));
    by("before").onclick = () => this.view.turn(this.part - 1);
    by("after").onclick = () => this.view.turn(this.part + 1);
  }

  /** Shows a part of a text: its content, and the spans in it. The `view` has `choose(token)`, which is called when the
   *  user points at a token, `turn(part)`, which must show another part, and the words `kind` and `unit`. */
  show(view, content, spans, part, parts) {
    Object.assign(this, { view, spans, part, parts });
    this.root.className = view.kind;
    const how = `${view.unit} by ${view.unit}. Use the arrow keys to move between ${view.unit}s.`;
    this.root.setAttribute("aria-label", `The text, ${how}`);
    this.root.replaceChildren(content);
    if (spans.length) spans[0].tabIndex = 0;
    by("pager").hidden = parts === 1;
    by("part").textContent = `part ${part + 1} of ${parts}`;
    by("before").disabled = part === 0;
    by("after").disabled = part === parts - 1;
  }

  /** Marks the span in the centre of a field, if it is shown, and the spans in the field. */
  mark(center, field) {
    for (const span of this.spans) {
      span.classList.toggle("field", field.has(span));
      span.classList.toggle("center", span === center);
      span.setAttribute("aria-selected", span === center);
      if (center) span.tabIndex = span === center ? 0 : -1;
    }
  }

  async #move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    if (this.turning) return;
    const there = this.spans.indexOf(event.target) + step;
    const turned = this.part + Math.sign(step);
    const isOver = Number.isFinite(step) && (there < 0 || there >= this.spans.length);
    if (isOver && turned >= 0 && turned < this.parts) {
      this.turning = true;
      await this.view.turn(turned);
      this.turning = false;
      return this.spans.at(step > 0 ? 0 : -1)?.focus();
    }
    this.spans[Math.max(0, Math.min(this.spans.length - 1, there))]?.focus();
  }
}
