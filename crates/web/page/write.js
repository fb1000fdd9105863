// Writes texts with a language model, and shows why each token was chosen.

import { newest } from "./ask.js";
import { bar, by, clearError, counted, element, percent, reportErrors, say, signed, table } from "./dom.js";
import { colour, option, showChosen } from "./words.js";

/** The tokens of one question to the worker take about this many milliseconds. */
const PACE = 60;
/** The most tokens whose shares are listed. */
const SHARES = 12;
const HINT = "Point at a token that the model wrote, tap it, or move to it with the keyboard.";

/** A token as it is shown in a list. */
const visible = (token) => token.replaceAll("\n", "⏎").replaceAll("Ċ", "⏎").replaceAll(/[ Ġ]/g, "␣") || "∅";

export class WriteView {
  kind = "written";
  unit = "token";

  /** `ask(verb, …)` asks the worker that has the model. */
  constructor(box, ask) {
    Object.assign(this, { box, ask, tokens: [], evidence: element("div") });
    by("write").onsubmit = (event) => {
      event.preventDefault();
      reportErrors("write", this.#write());
    };
    by("write-stop").onclick = () => (this.stopped = true);
    this.explain = newest((index) => this.#explain(index));
  }

  /** Shows what the model makes of a prompt. */
  show(text, { tokens, unknown, reads_unknown: readsUnknown }, facts) {
    if (facts !== this.facts) this.#adopt(facts);
    const named = unknown.map((piece) => JSON.stringify(piece)).join(", ");
    const note = unknown.length ? `; unknown to the model: ${named}` : "";
    by("verdict").textContent = counted(tokens, "token") + note;
    by("verdict").dataset.text = text.length;
    by("bars").replaceChildren();
    by("write-start").disabled = unknown.length > 0 && !readsUnknown;
  }

  #adopt(facts) {
    Object.assign(this, { facts, tokens: [], prompt: "" });
    by("write-label").replaceChildren(...facts.labels.map((name, label) => element("option", name, { value: label })));
    by("write-label").closest("span").hidden = facts.labels.length === 0;
    this.box.show(this, document.createDocumentFragment(), [], 0, 1);
    showChosen("What the model writes appears above.");
  }

  async #write() {
    const number = (id) => Number(by(id).value);
    const label = this.facts.labels.length ? number("write-label") : null;
    const settings = { temperature: number("temperature"), top_k: null, top_p: null, label, seed: number("seed") };
    const prompt = by("text").value;
    this.stopped = true; // a text that is being written ends
    await this.writing;
    Object.assign(this, { prompt, tokens: [], chosen: undefined, stopped: false });
    const content = document.createDocumentFragment();
    content.append(prompt);
    this.box.show(this, content, [], 0, 1);
    showChosen(HINT);
    this.#showLegend("", "");
    clearError("write");
    [by("write-start").disabled, by("write-stop").hidden] = [true, false];
    this.writing = this.#writeTokens(prompt, settings, number("write-length"));
    try {
      await this.writing;
    } finally {
      [by("write-start").disabled, by("write-stop").hidden, this.writing] = [false, true, undefined];
    }
    say(`${counted(this.tokens.length, "token")} written`);
  }

  async #writeTokens(prompt, settings, length) {
    await this.ask("begin", prompt, settings);
    let [count, spent] = [1, 0];
    while (this.tokens.length < length && !this.stopped) {
      const begin = performance.now();
      const tokens = await this.ask("write", Math.min(count, length - this.tokens.length));
      const milliseconds = performance.now() - begin;
      spent += milliseconds;
      tokens.forEach((token) => this.#append(token));
      by("latency").textContent = `${(spent / this.tokens.length).toFixed(1)} ms per token`;
      if (tokens.length === 0 || tokens.at(-1).ends) break;
      count = Math.max(1, Math.min(50, Math.round((count * PACE) / Math.max(milliseconds, 1))));
    }
  }

  #append(token) {
    const { root, spans } = this.box;
    const trimmed = this.tokens.length === 0 && !this.facts.spaces && /\s$/.test(this.prompt);
    const span = option(this.tokens.length, trimmed ? token.text.trimStart() : token.text, `${token.text}, ${percent(token.probability)}`);
    span.dataset.probability = token.probability;
    this.tokens.push(token);
    spans.push(span);
    if (spans.length === 1) span.tabIndex = 0;
    root.append(span);
  }

  #showLegend(low, high) {
    by("legend-low").textContent = low;
    by("legend-high").textContent = high;
  }

  turn() {} // what is written is shown as a whole

  /** Selects a token, and shows what it was chosen among. */
  choose(index) {
    if (index === this.chosen || !this.tokens[index]) return;
    this.chosen = index;
    this.#colour(() => "");
    this.box.mark(this.box.spans[index], new Set());
    const { text, probability, alternatives } = this.tokens[index];
    const bars = element("div");
    bars.append(...alternatives.map(([token, share]) => bar(visible(token), share)));
    this.evidence.className = "stale";
    showChosen(`${visible(text)}: ${percent(probability)}; the most probable were:`, [bars, this.evidence]);
    reportErrors("phrase", this.explain(index));
  }

  #colour(of) {
    this.box.spans.forEach((span, index) => (span.style.backgroundColor = of(index)));
  }

  async #explain(index) {
    const { tokens: asked } = this;
    const found = await this.ask("token", index);
    // Ignored if another token has been chosen, or another text is written.
    if (!found || index !== this.chosen || asked !== this.tokens) return;
    clearError("phrase");
    const { tokens, shares, logit, baseline, residual } = found;
    const token = visible(this.tokens[index].text);
    const largest = Math.max(1e-9, ...shares.map(Math.abs));
    const first = index - shares.length;
    this.#showLegend(`${signed(-largest, 2)} against ${token}`, `${signed(largest, 2)} for ${token}`);
    this.#colour((at) => (shares[at - first] === undefined ? "" : colour(shares[at - first] / largest)));
    this.box.mark(this.box.spans[index], new Set(this.box.spans.slice(Math.max(0, first), index)));
    this.evidence.className = "";
    const sum = `The logit of ${token}, relative to the mean of all tokens, is ${signed(logit)}: ${signed(baseline)} without text, plus what each token before adds (gradient × input).`;
    const ranked = shares.map((share, at) => ({ share, at })).sort((a, b) => Math.abs(b.share) - Math.abs(a.share));
    const rows = ranked.slice(0, SHARES).map(({ share, at }) => [signed(at - shares.length, 0), visible(tokens[at]), signed(share)]);
    const others = ranked.slice(SHARES).reduce((all, { share }) => all + share, 0);
    if (ranked.length > SHARES) rows.push(["", `${ranked.length - SHARES} other tokens`, signed(others)]);
    rows.push(["", "residual (what is not explained)", signed(residual)]);
    this.evidence.replaceChildren(element("p", sum), table(["position", "token", `adds to ${token}`], rows));
  }
}
