// Draws the loss during training, by epoch, on a canvas.

import { cleared, styled } from "./dom.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [44, 16, 8, 28];

export class LossChart {
  constructor(canvas) {
    this.canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  begin() {
    this.running = [];
    this.history = [];
    this.draw();
  }

  /** Shows a state of training. The current epoch gets a thin line. */
  show({ epoch, step, steps, loss, history }) {
    if (history.length !== this.history.length) this.running = [];
    this.history = history;
    if (step > 0) this.running.push([epoch - 1 + step / steps, loss]);
    this.draw();
  }

  draw() {
    const { canvas, history, running } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!history || !width) return;
    const pen = cleared(canvas);
    const of = (part) => history.map((epoch, at) => [at + 1, epoch[part].loss]);
    const lines = [
      ["training", of("train"), `rgb(${styled("--for")})`, []],
      ["validation", of("validation"), `rgb(${styled("--against")})`, [5, 3]],
    ];
    const all = [...lines.flatMap(([, points]) => points), ...running];
    const top = Math.max(0.1, ...all.map(([, loss]) => loss)) * 1.1;
    const end = Math.max(1, Math.ceil(Math.max(0, ...all.map(([at]) => at))));
    const place = ([at, loss]) => [LEFT + ((width - LEFT - RIGHT) * at) / end, (height - TOP - BOTTOM) * (1 - loss / top) + TOP];

    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = styled("--ink");
    pen.strokeStyle = styled("--line");
    for (const share of [0, 0.5, 1]) {
      const [, y] = place([0, share * top]);
      pen.fillText((share * top).toFixed(2), 8, y + 4);
      pen.strokeRect(LEFT, y, width - LEFT - RIGHT, 0);
    }
    pen.fillText("loss by epoch", LEFT, height - 8);
    const line = (points, colour, dash, thick) => {
      Object.assign(pen, { strokeStyle: colour, lineWidth: thick });
      pen.setLineDash(dash);
      pen.beginPath();
      points.forEach((point) => pen.lineTo(...point));
      pen.stroke();
    };
    const dot = ([x, y], colour) => {
      pen.fillStyle = colour;
      pen.fillRect(x - 2, y - 2, 4, 4);
    };
    lines.forEach(([label, points, colour, dash], number) => {
      line(points.map(place), colour, dash, 2);
      points.forEach((point) => dot(place(point), colour));
      const left = 136 + 96 * number;
      line([[left, height - 12], [left + 18, height - 12]], colour, dash, 2);
      pen.fillStyle = styled("--ink");
      pen.fillText(label, left + 22, height - 8);
    });
    const [, , colour] = lines[0];
    line(running.map(place), colour, [], 1);
    if (running.length) dot(place(running.at(-1)), colour);
    const described = lines.map(([label, points]) => `${label} ${points.map(([, loss]) => loss.toFixed(3)).join(", ")}`);
    canvas.setAttribute("aria-label", history.length ? `Loss by epoch: ${described.join("; ")}` : "Loss by epoch; no epoch has ended yet");
  }
}
