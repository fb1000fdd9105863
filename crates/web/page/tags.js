// Shows the tags of the words of a text, and why a word has its tag.

import { bar, by, counted, element, percent, say, signed, table } from "./dom.js";
import { colour, gap, option, showChosen } from "./words.js";

/** The most tags that are listed for a word. */
const TAGS = 5;
/** The most words whose shares are listed. */
const SHARES = 40;
/** The text is announced this many milliseconds after the last key. */
const ANNOUNCE_AFTER = 800;
const HINT = "Point at a word, tap it, or move to it with the keyboard.";

export class TagsView {
  unit = "word";

  /** `onWord(index)` is called when the user points at a word. `turn(part)` must show another part of the text. */
  constructor(box, onWord, turn) {
    Object.assign(this, { box, onWord, turn });
  }

  show(text, reading, facts) {
    Object.assign(this, { text, reading, facts, chosen: undefined, evidence: element("div") });
    /** How the text is shown: with tags below the words, or with spans around them. */
    this.kind = facts.spans ? "spans" : "tags";
    this.#showVerdict();
    by("bars").replaceChildren();
    this.#showLegend("against the tag", "for the tag");
    this.#draw();
    showChosen(HINT);
  }

  tagOf(word) {
    return this.facts.labels[this.reading.labels[word]];
  }

  textOf(word) {
    return this.text.slice(this.reading.starts[word], this.reading.ends[word]);
  }

  #probabilities(word) {
    const { length } = this.facts.labels;
    return this.reading.probabilities.subarray(word * length, (word + 1) * length);
  }

  #showVerdict() {
    const { words, sentences, parts, cut, span_kinds: kinds, milliseconds } = this.reading;
    const found = new Map();
    for (const kind of kinds) found.set(kind, (found.get(kind) ?? 0) + 1);
    const each = [...found].map(([kind, count]) => `${count.toLocaleString("en")} ${kind}`).join(", ");
    const here = parts > 1 ? " in this part" : "";
    const spans = this.facts.spans ? `; ${counted(kinds.length, "span")}${here}${each && `: ${each}`}` : "";
    const verdict = `${counted(words, "word")} in ${counted(sentences, "sentence")}${spans}`;
    const note = cut ? ". Sentences of more than 1,500 words are read in pieces." : "";
    by("verdict").textContent = words ? verdict + note : "…";
    by("verdict").dataset.text = this.text.length;
    by("latency").textContent = `read in ${milliseconds.toFixed(1)} ms`;
    say(words ? verdict : "", ANNOUNCE_AFTER);
  }

  #showLegend(low, high) {
    by("legend-low").textContent = low;
    by("legend-high").textContent = high;
  }

  #draw() {
    const { starts, ends, part, parts, span_firsts: firsts, span_lasts: lasts, span_kinds: kinds } = this.reading;
    const content = document.createDocumentFragment();
    const words = [];
    let [at, inside, next] = [part === 0 ? 0 : starts[0], content, 0];
    starts.forEach((start, word) => {
      inside.append(gap(this.text, at, start, "here"));
      if (firsts[next] === word) {
        inside = element("mark");
        inside.dataset.kind = kinds[next];
        inside.setAttribute("role", "group");
        inside.setAttribute("aria-label", kinds[next]);
        content.append(inside);
      }
      words.push(this.#word(word));
      inside.append(words.at(-1));
      if (lasts[next] === word) [inside, next] = [content, next + 1];
      at = ends[word];
    });
    if (part === parts - 1) content.append(gap(this.text, at, this.text.length, "here"));
    this.box.show(this, content, words, part, parts);
  }

  #word(word) {
    const [text, tag] = [this.textOf(word), this.tagOf(word)];
    const probability = this.#probabilities(word)[this.reading.labels[word]];
    const span = option(word, text, `${text}, ${tag}, ${percent(probability)}`);
    span.dataset.tag = tag;
    return span;
  }

  /** Selects a word, and shows its tag and the runners-up. */
  choose(word) {
    if (word === this.chosen) return;
    this.chosen = word;
    this.#colour(() => "");
    this.box.mark(this.box.spans[word], new Set());
    const probabilities = this.#probabilities(word);
    const { labels } = this.facts;
    const likely = [...labels.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, TAGS);
    const bars = element("div");
    bars.append(...likely.map((label) => bar(labels[label], probabilities[label])));
    // What belongs to the word before is shown faintly until there is an answer.
    this.evidence.className = "stale";
    const probability = percent(probabilities[this.reading.labels[word]]);
    showChosen(`${this.textOf(word).slice(0, 200)}: ${this.tagOf(word)} ${probability}`, [bars, this.evidence]);
    this.onWord(word);
  }

  #colour(of) {
    this.box.spans.forEach((span, word) => (span.style.backgroundColor = of(word)));
  }

  /** Shows why the chosen word has its tag. */
  showEvidence({ first, shares, logit, baseline, residual }) {
    this.evidence.className = "";
    if (shares.length === 0) {
      const note = "This sentence is too long to show what speaks for the tag.";
      return this.evidence.replaceChildren(element("p", note, { className: "quiet" }));
    }
    const tag = this.tagOf(this.chosen);
    const largest = Math.max(1e-9, ...shares.map(Math.abs));
    this.#showLegend(`${signed(-largest, 2)} against ${tag}`, `${signed(largest, 2)} for ${tag}`);
    this.#colour((word) => (shares[word - first] === undefined ? "" : colour(shares[word - first] / largest)));
    this.box.mark(this.box.spans[this.chosen], new Set(this.box.spans.slice(first, first + shares.length)));
    const sum = `The logit of ${tag} is ${signed(logit)}: ${signed(baseline)} without words, plus what each word adds.`;
    this.evidence.replaceChildren(element("p", sum), this.#sharesTable(tag, first, shares, residual));
  }

  #sharesTable(tag, first, shares, residual) {
    const all = shares.map((share, at) => ({ word: first + at, share }));
    all.sort((a, b) => Math.abs(b.share) - Math.abs(a.share));
    const shown = all.slice(0, SHARES).sort((a, b) => a.word - b.word);
    const place = (word) => (word === this.chosen ? "0" : signed(word - this.chosen, 0));
    const rows = shown.map(({ word, share }) => [place(word), this.textOf(word).slice(0, 200), signed(share)]);
    const others = all.slice(SHARES).reduce((sum, { share }) => sum + share, 0);
    if (all.length > SHARES) rows.push(["", `${all.length - SHARES} other words`, signed(others)]);
    rows.push(["", "residual (error of the sum)", signed(residual)]);
    return table(["position", "word", `adds to ${tag}`], rows);
  }
}
