// What a model has learnt: its words in a plane, and its filters.

import { by, element, signed, table } from "./dom.js";
import { Scatter } from "./scatter.js";

export class LearntView {
  constructor() {
    const hint = by("found").textContent;
    /** A word that was searched for and not found. */
    this.missing = "";
    this.scatter = new Scatter(by("plane"), (marked) => {
      if (marked) this.missing = "";
      by("found").textContent = marked ? this.#describeWord(marked) : this.missing ? `${this.missing} is not in the vocabulary` : hint;
    });
    by("label").onchange = () => this.#explain();
    by("search").addEventListener("input", () => this.#search());
    by("closer").onclick = () => this.scatter.scale(1.5);
    by("farther").onclick = () => this.scatter.scale(1 / 1.5);
    by("whole").onclick = () => this.scatter.whole();
    by("filter").onchange = ({ target }) => this.choose(Number(target.value));
  }

  /** The label that the colours refer to. */
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

  #describeWord({ word, x, y, says }) {
    return `${word}: (${signed(x, 3)}, ${signed(y, 3)}); contributes ${signed(says, 3)} to ${this.label}`;
  }

  #explain() {
    this.#describe();
    this.scatter.explain(Number(by("label").value));
  }

  #describe() {
    const { x, points } = this.learnt;
    const [also, triangle] = points.length
      ? [` and ${points.length} filter positions`, ` A triangle is a position of a filter${points[0][4].length === 0 ? "" : "; it points up if the filter counts for the label"}.`]
      : ["", ""];
    by("plane-text").textContent = `${x.length} words${also}, projected onto two principal components: blue counts for ${this.label}, orange against it.${triangle}`;
    by("plane").setAttribute("aria-label", `Scatter plot of words and filters, coloured by the score for ${this.label}. Use the search box above to find a word.`);
  }

  /** Shows a filter's words and marks its positions. */
  choose(filter) {
    if (!this.learnt) return;
    this.#showFilter(filter);
    this.scatter.mark(filter);
  }

  /** Goes to a filter from a phrase, whose score for the label `output` is shown. */
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
    by("filter-words").replaceChildren(table(["position", "norm", "excited by", "inhibited by"], rows));
  }

  /** Searches for the word as typed, then in lower case, which most vocabularies are in. */
  #search() {
    const word = by("search").value.trim();
    this.missing = word;
    if (!this.learnt) return;
    if (!this.scatter.find(word)) this.scatter.find(word.toLowerCase());
  }
}
