// Draws words and filters in a plane, on a canvas.

import { cleared, styled } from "./dom.js";
import { gestures } from "./gestures.js";

const WORDS_NAMED = 28;
/** How near the pointer must be to a word, in pixels. */
const NEAR = 14;

export class Scatter {
  constructor(canvas, onWord = () => {}) {
    Object.assign(this, { canvas, onWord, zoom: 1, middle: [0, 0], filter: -1, word: -1, output: 0 });
    gestures(canvas, {
      move: (right, down) => this.#move(right, down),
      scale: (factor, place) => this.scale(factor, place),
      point: (place) => this.#pointed(place),
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Shows `learnt` as the module returns it; `tokens` has the token of each id. */
  show(learnt, tokens) {
    const ids = [...tokens.keys()].filter((id) => !learnt.special.includes(id));
    learnt = { ...learnt, ids };
    // Another model: nothing is marked.
    if (tokens !== this.tokens) Object.assign(this, { word: -1, filter: -1 });
    Object.assign(this, { learnt, tokens });
    this.explain(0);
  }

  /** Colours everything by its contribution to the score of a label, given by its index. */
  explain(output) {
    const says = this.learnt.says[output];
    this.output = output;
    this.loudest = says.map((_, at) => at).sort((a, b) => Math.abs(says[b]) - Math.abs(says[a]));
    this.draw();
    this.#report();
  }

  scale(factor, event) {
    const [x, y] = event ? this.#at(event) : this.middle;
    const before = this.zoom;
    this.zoom = Math.max(1, Math.min(200, before * factor));
    factor = this.zoom / before;
    const shift = (middle, point) => point + (middle - point) / factor;
    this.middle = this.zoom === 1 ? [0, 0] : [shift(this.middle[0], x), shift(this.middle[1], y)];
    this.draw();
  }

  whole() {
    Object.assign(this, { zoom: 1, middle: [0, 0] });
    this.#mark(-1);
  }

  /** Marks a word and brings it into view. Returns false, and marks nothing, if it is not in the vocabulary. */
  find(name) {
    if (!this.learnt) return false;
    const at = this.learnt.ids.indexOf(this.tokens.indexOf(name));
    if (at >= 0) {
      this.middle = [this.learnt.x[at] / 2000, this.learnt.y[at] / 2000];
      this.zoom = Math.max(this.zoom, 4);
    }
    this.#mark(at);
    return at >= 0;
  }

  /** Marks the positions of a filter; -1 for none. */
  mark(filter) {
    this.filter = filter;
    this.draw();
  }

  #mark(at) {
    this.word = at;
    this.draw();
    this.#report();
  }

  /** Reports the marked word, if there is one. */
  #report() {
    if (this.word < 0 || !this.learnt) return this.onWord();
    const { ids, x, y, says, reach } = this.learnt;
    const at = this.word;
    this.onWord({
      word: this.tokens[ids[at]],
      x: (x[at] / 2000) * reach[0],
      y: (y[at] / 2000) * reach[1],
      says: (says[this.output][at] / 2000) * reach[2],
    });
  }

  #size() {
    return [this.canvas.clientWidth, this.canvas.clientHeight];
  }

  /** Converts coordinates in -1…1 to pixels. */
  #place(x, y) {
    const [width, height] = this.#size();
    return [
      width * (0.5 + ((x - this.middle[0]) * this.zoom) / 2.15),
      height * (0.5 - ((y - this.middle[1]) * this.zoom) / 2.15),
    ];
  }

  #at(event) {
    const [width, height] = this.#size();
    const box = this.canvas.getBoundingClientRect();
    return [
      this.middle[0] + (((event.clientX - box.left) / width - 0.5) * 2.15) / this.zoom,
      this.middle[1] - (((event.clientY - box.top) / height - 0.5) * 2.15) / this.zoom,
    ];
  }

  #move(right, down) {
    const [width, height] = this.#size();
    this.middle[0] -= ((right / width) * 2.15) / this.zoom;
    this.middle[1] += ((down / height) * 2.15) / this.zoom;
    this.draw();
  }

  #pointed(event) {
    if (!this.learnt) return;
    const box = this.canvas.getBoundingClientRect();
    const here = [event.clientX - box.left, event.clientY - box.top];
    let [nearest, distance] = [-1, NEAR * NEAR];
    this.learnt.ids.forEach((_, at) => {
      const [x, y] = this.#place(this.learnt.x[at] / 2000, this.learnt.y[at] / 2000);
      const square = (x - here[0]) ** 2 + (y - here[1]) ** 2;
      if (square < distance) [nearest, distance] = [at, square];
    });
    if (nearest >= 0 && nearest !== this.word) this.#mark(nearest);
  }

  #key(event) {
    const step = 0.2 / this.zoom;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    const move = moves[event.key];
    if (move) this.middle = [this.middle[0] + move[0], this.middle[1] + move[1]];
    else if (event.key === "+") return this.scale(1.25);
    else if (event.key === "-") return this.scale(0.8);
    else return;
    event.preventDefault();
    this.draw();
  }

  draw() {
    const { canvas, learnt } = this;
    const [width, height] = this.#size();
    if (!learnt || !width) return;
    const pen = cleared(canvas);
    const [ink, quiet, page, yes, no] = ["--ink", "--quiet", "--page", "--for", "--against"].map(styled);
    const says = learnt.says[this.output];
    const dot = (at, size, alpha) => {
      const [x, y] = this.#place(learnt.x[at] / 2000, learnt.y[at] / 2000);
      if (x < 0 || y < 0 || x > width || y > height) return undefined;
      const share = says[at] / 2000;
      pen.fillStyle = `rgba(${share > 0 ? yes : no}, ${alpha ?? 0.15 + 0.7 * Math.sqrt(Math.abs(share))})`;
      pen.fillRect(x - size / 2, y - size / 2, size, size);
      return [x, y];
    };
    for (let at = 0; at < learnt.ids.length; at++) dot(at, 2.2);
    for (const [filter, , x, y, weights] of learnt.points) {
      const weight = weights[this.output];
      const [left, top] = this.#place(x / 2000, y / 2000);
      const chosen = filter === this.filter;
      const up = (weight ?? 1) > 0 ? -1 : 1;
      const size = chosen ? 8 : 4;
      pen.beginPath();
      pen.moveTo(left, top + up * size);
      pen.lineTo(left - size, top - up * size);
      pen.lineTo(left + size, top - up * size);
      pen.closePath();
      pen.globalAlpha = this.filter < 0 || chosen ? 1 : 0.35;
      pen.strokeStyle = weight === undefined ? quiet : `rgb(${weight > 0 ? yes : no})`;
      pen.lineWidth = chosen ? 2.5 : 1;
      pen.stroke();
      pen.globalAlpha = 1;
    }
    pen.font = "12px system-ui, sans-serif";
    const taken = [];
    const name = (at, strong) => {
      const place = dot(at, strong ? 6 : 3, 1);
      if (!place) return false;
      const text = this.tokens[learnt.ids[at]];
      const box = [place[0] + 5, place[1] - 7, pen.measureText(text).width + 2, 14];
      if (box[0] + box[2] > width) box[0] -= box[2] + 10;
      const hits = ([x, y, w, h]) => box[0] < x + w && x < box[0] + box[2] && box[1] < y + h && y < box[1] + box[3];
      if (!strong && taken.some(hits)) return false;
      taken.push(box);
      pen.lineWidth = 3;
      pen.strokeStyle = page;
      pen.strokeText(text, box[0], place[1] + 4);
      pen.fillStyle = ink;
      pen.fillText(text, box[0], place[1] + 4);
      return true;
    };
    if (this.word >= 0) name(this.word, true);
    let named = 0;
    for (const at of this.loudest) {
      if (named === WORDS_NAMED) break;
      if (at !== this.word && name(at, false)) named++;
    }
    pen.fillStyle = quiet;
    const percent = (share) => `${(100 * (share ?? 0)).toFixed(1)} %`;
    pen.fillText(`first principal component, ${percent(learnt.explained[0])}`, 8, height - 8);
    pen.save();
    pen.translate(14, 8);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "right";
    pen.fillText(`second principal component, ${percent(learnt.explained[1])}`, 0, 0);
    pen.restore();
  }
}
