// What a model has learnt: its words in a plane, and its filters.

import { by, element, signed, table } from "./dom.js";
import { Scatter } from "./scatter.js";

export class LearntView {
  constructor() {
    const hint = by("found").textContent;
    /** What was searched for in vain. */
    this.missing = "";
    this.scatter = new Scatter(by("plane"), (marked) => {
      if (marked) this.missing = "";
      by("found").textContent = marked ? this.#told(marked) : this.missing ? `${this.missing} is not in the vocabulary` : hint;
    });
    by("label").onchange = () => this.#explain();
    by("search").addEventListener("input", () => this.#search());
    by("closer").onclick = () => this.scatter.scale(1.5);
    by("farther").onclick = () => this.scatter.scale(1 / 1.5);
    by("whole").onclick = () => this.scatter.whole();
    by("filter").onchange = ({ target }) => this.choose(Number(target.value));
  }

  /** The label whose score is explained. */
  get label() {
    return this.facts.outputs[by("label").value];
  }

  show({ learnt, tokens, facts }) {
    Object.assign(this, { learnt, facts });
    by("label").replaceChildren(...facts.outputs.map((label, at) => element("option", label, { value: at })));
    by("label-part").hidden = facts.outputs.length === 1;
    by("filters-part").hidden = learnt.filters.length === 0;
    by("filter").replaceChildren(...learnt.filters.map((_, at) => element("option", String(at), { value: at })));
    this.#describe();
    this.scatter.show(learnt, tokens);
    if (learnt.filters.length) this.#showFilter(0);
    this.#search();
  }

  #told({ word, x, y, says }) {
    return `${word}: (${signed(x, 3)}, ${signed(y, 3)}); says ${signed(says, 3)} for ${this.label}`;
  }

  #explain() {
    this.#describe();
    this.scatter.explain(Number(by("label").value));
  }

  #describe() {
    const { x, points } = this.learnt;
    const [also, triangle] = points.length
      ? [` and ${points.length} places of filters`, ` A triangle is a place of a filter${points[0][4].length === 0 ? "" : ", upright where the filter counts for the label"}.`]
      : ["", ""];
    by("plane-text").textContent = `${x.length} words${also} in the plane of two principal components; blue says ${this.label}, orange speaks against it.${triangle}`;
    by("plane").setAttribute("aria-label", `Scatter of words and filters, coloured by what speaks for ${this.label}; search above for a word`);
  }

  /** Shows a filter's words and marks its places. */
  choose(filter) {
    if (!this.learnt) return;
    this.#showFilter(filter);
    this.scatter.mark(filter);
  }

  /** Goes to a filter from a phrase, of which one label's score is explained. */
  goTo(filter, output) {
    if (!this.learnt) return;
    by("label").value = output;
    this.#explain();
    this.choose(filter);
    by("filter").focus({ preventScroll: true });
    by("filters-part").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  #showFilter(filter) {
    by("filter").value = filter;
    const words = (list) => list.map(([word, score]) => `${word} ${signed(score, 2)}`).join(", ");
    const rows = (this.learnt.filters[filter] ?? []).map(({ place, norm, excite, inhibit }) => [String(place), norm.toFixed(2), words(excite), words(inhibit)]);
    by("filter-words").replaceChildren(table(["place", "norm", "excited by", "inhibited by"], rows));
  }

  /** A vocabulary may have a word as it was typed, and most have it in lower case alone. */
  #search() {
    const word = by("search").value.trim();
    this.missing = word;
    if (!this.learnt) return;
    if (!this.scatter.find(word)) this.scatter.find(word.toLowerCase());
  }
}
