// What a model has learnt: its words in a plane, and its filters.

import { by, element, signed, table } from "./dom.js";
import { Scatter } from "./scatter.js";

export class LearntView {
  constructor() {
    this.scatter = new Scatter(by("plane"), ({ word, x, y, says }) => {
      by("found").textContent = `${word}: (${signed(x, 3)}, ${signed(y, 3)}); says ${signed(says, 3)} for ${this.label}`;
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
    this.scatter.word = -1;
    this.scatter.show(learnt, tokens);
    by("label").replaceChildren(...facts.outputs.map((label, at) => element("option", label, { value: at })));
    by("label-part").hidden = facts.outputs.length === 1;
    this.#explain();
    by("filters-part").hidden = learnt.filters.length === 0;
    by("filter").replaceChildren(...learnt.filters.map((_, at) => element("option", String(at), { value: at })));
    if (learnt.filters.length) this.choose(0);
    this.scatter.mark(-1);
    this.#search();
  }

  #explain() {
    const { x, points } = this.learnt;
    this.scatter.explain(Number(by("label").value));
    const [also, triangle] = points.length
      ? [` and ${points.length} places of filters`, ` A triangle is a place of a filter${points[0][4].length === 0 ? "" : ", upright where the filter counts for the label"}.`]
      : ["", ""];
    by("plane-text").textContent = `${x.length} words${also} in the plane of two principal components; blue says ${this.label}, orange speaks against it.${triangle}`;
  }

  /** Shows a filter's words, and goes there where that is asked. */
  choose(filter, go) {
    if (!this.learnt) return;
    by("filter").value = filter;
    this.scatter.mark(filter);
    const words = (list) => list.map(([word, score]) => `${word} ${signed(score, 2)}`).join(", ");
    const rows = (this.learnt.filters[filter] ?? []).map(({ place, norm, excite, inhibit }) => [String(place), norm.toFixed(2), words(excite), words(inhibit)]);
    by("filter-words").replaceChildren(table(["place", "norm", "excited by", "inhibited by"], rows));
    if (!go) return;
    by("filter").focus({ preventScroll: true });
    by("filters-part").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  /** A vocabulary may have a word as it was typed, and most have it in lower case alone. */
  #search() {
    const word = by("search").value.trim();
    if (!word || !this.learnt) return;
    if (!this.scatter.find(word) && !this.scatter.find(word.toLowerCase())) by("found").textContent = `${word} is not in the vocabulary`;
  }
}
