// Shows a text that was read: its label, its phrases, and the parts of one phrase.

import { bar, by, element, percent, say, signed, table } from "./dom.js";
import { ColouredText } from "./text.js";
import { colour, showChosen } from "./words.js";

/** The most labels that get a bar. */
const BARS = 8;
/** The label is announced this many milliseconds after the last key. */
const ANNOUNCE_AFTER = 800;
const HINT = "Point at a phrase, tap it, or move to it with the keyboard.";

export class ReadingView {
  /** `onPhrase(index)` is called when the user points at a phrase, `onFilter(index)` when they choose a filter. */
  constructor(box, onPhrase, onFilter) {
    this.onFilter = onFilter;
    this.coloured = new ColouredText(box, onPhrase);
  }

  show(text, reading, facts) {
    Object.assign(this, { reading, facts });
    this.#showVerdict(text);
    this.#showBars();
    this.coloured.show(text, reading, facts.outputs.length);
    this.#showStrongest();
    showChosen(HINT);
  }

  /** The label that a positive score counts for. */
  get explained() {
    return this.facts.outputs[this.reading.explains];
  }

  #showVerdict(text) {
    const { label, probabilities, logits, explains, bias, milliseconds } = this.reading;
    const sum = logits[explains] - bias[explains];
    const verdict = `${this.facts.labels[label]} ${percent(probabilities[label])}`;
    by("verdict").textContent = text
      ? `${verdict}: the logit of ${this.explained} is ${signed(logits[explains])}, the sum of phrases ${signed(sum)} and bias ${signed(bias[explains])}`
      : "…";
    by("verdict").dataset.logits = JSON.stringify(logits);
    by("verdict").dataset.text = text.length;
    by("latency").textContent = `read in ${milliseconds.toFixed(1)} ms`;
    say(text ? verdict : "", ANNOUNCE_AFTER);
  }

  #showBars() {
    const { probabilities } = this.reading;
    const { labels } = this.facts;
    let shown = [...labels.keys()];
    if (labels.length > BARS) shown = shown.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, BARS);
    const bars = shown.map((at) => bar(labels[at], probabilities[at]));
    if (labels.length > BARS) bars.push(element("p", `and ${labels.length - BARS} more`, { className: "quiet" }));
    by("bars").replaceChildren(...bars);
  }

  #showStrongest() {
    const { coloured } = this;
    by("legend-low").textContent = `${signed(-coloured.largest)} against ${this.explained}`;
    by("legend-high").textContent = `${signed(coloured.largest)} for ${this.explained}`;
    const { strongest, centers } = this.reading;
    by("strongest").replaceChildren(
      ...[...strongest].map((phrase) => {
        const score = coloured.scoreOf(phrase);
        const text = coloured.textOf(phrase);
        const button = element("button", "", { onclick: () => coloured.choose(centers[phrase]) });
        const number = element("span", signed(score), { className: "number" });
        number.style.backgroundColor = colour(score / coloured.largest);
        button.append(number, ` ${text.length > 80 ? `${text.slice(0, 77)}…` : text}`);
        const item = element("li");
        item.append(button);
        return item;
      }),
    );
  }

  /** Shows one phrase with its parts and filters. */
  showPhrase(phrase, { score, parts, exact, filters }, tokens) {
    const content = [];
    if (parts.length) content.push(this.#partsTable(score, parts, exact, tokens));
    else if (!exact) content.push(element("p", "This text is too long to show the parts of its phrases.", { className: "quiet" }));
    if (filters?.length) content.push(element("h4", "Filters"), this.#filtersTable(filters));
    showChosen(`${signed(score)} for ${this.explained}: ${this.coloured.textOf(phrase).slice(0, 200)}`, content);
  }

  #partsTable(score, parts, exact, tokens) {
    const shown = [...parts].sort((a, b) => Math.abs(b.score) - Math.abs(a.score)).slice(0, 40).sort((a, b) => a.place - b.place);
    const name = ({ token }) => (token === null ? "(padding)" : this.coloured.textOfToken(token) || tokens?.[this.reading.ids[token]] || "");
    const rest = score - parts.reduce((sum, part) => sum + part.score, 0);
    const rows = shown.map((part) => [String(part.place), name(part), signed(part.score, 5)]);
    if (!exact) rows.push(["", "rest", signed(rest, 5)]);
    return table(["position", "word", exact ? "score" : "gradient × input"], rows);
  }

  #filtersTable(filters) {
    const linear = filters[0].share !== null;
    const rows = filters.map(({ filter, activation, share }) => {
      const cell = element("td");
      cell.append(element("button", `filter ${filter}`, { onclick: () => this.onFilter(filter) }));
      return [cell, activation.toFixed(3), ...(linear ? [signed(share, 5)] : [])];
    });
    return table(["filter", "activation", ...(linear ? ["score"] : [])], rows);
  }
}
