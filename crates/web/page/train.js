// Trains a small model on a visitor's file, and shows how it goes.

import { Helper } from "./ask.js";
import { Scatter } from "./scatter.js";
import { element } from "./text.js";

const by = (id) => document.getElementById(id);
/** More than this is no file for a page. */
const MOST_BYTES = 64 << 20;

/** `onUse(helper)` is called with the helper that reads with the trained model. */
export function training(trouble, onUse) {
  const scatter = new Scatter(by("moving"));
  let [helper, csv, name, tokens] = [];

  const drawLoss = (state) => {
    const canvas = by("loss");
    const [width, height, dense] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
    Object.assign(canvas, { width: width * dense, height: height * dense });
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    const style = getComputedStyle(document.documentElement);
    const value = (property) => style.getPropertyValue(property).trim();
    const lines = [
      ["training", state.history.map((epoch) => epoch.train.loss), `rgb(${value("--for")})`, []],
      ["validation", state.history.map((epoch) => epoch.validation.loss), `rgb(${value("--against")})`, [5, 3]],
    ];
    const top = Math.max(0.1, ...lines.flatMap(([, losses]) => losses)) * 1.1;
    const place = (at, loss) => [44 + ((width - 60) * at) / Math.max(1, state.history.length - 1), (height - 36) * (1 - loss / top) + 8];
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = value("--quiet");
    pen.strokeStyle = value("--line");
    for (const share of [0, 0.5, 1]) {
      const [, y] = place(0, share * top);
      pen.fillText((share * top).toFixed(2), 8, y + 4);
      pen.strokeRect(44, y, width - 60, 0);
    }
    pen.fillText("loss by epoch", 44, height - 8);
    lines.forEach(([label, losses, colour, dash], number) => {
      pen.strokeStyle = pen.fillStyle = colour;
      pen.setLineDash(dash);
      pen.lineWidth = 2;
      pen.beginPath();
      losses.forEach((loss, at) => pen.lineTo(...place(at, loss)));
      pen.stroke();
      losses.forEach((loss, at) => pen.fillRect(place(at, loss)[0] - 2, place(at, loss)[1] - 2, 4, 4));
      pen.fillText(label, 150 + 80 * number, height - 8);
    });
    canvas.setAttribute("aria-label", `Loss by epoch: ${lines.map(([label, losses]) => `${label} ${losses.map((loss) => loss.toFixed(3)).join(", ")}`).join("; ")}`);
  };

  const onEvent = ({ state, learnt }) => {
    const done = (state.epoch - 1 + state.step / state.steps) / state.epochs;
    by("progress").value = state.over ? 1 : done;
    const last = state.history.at(-1);
    const validation = last ? `; validation after epoch ${last.epoch}: loss ${last.validation.loss.toFixed(4)}, accuracy ${(100 * last.validation.accuracy).toFixed(1)} %` : "";
    by("so-far").textContent = state.over
      ? `Done after ${state.history.length} epochs${validation}.`
      : `Epoch ${state.epoch} of ${state.epochs}, step ${state.step} of ${state.steps}: loss ${state.loss.toFixed(4)}, accuracy ${(100 * state.accuracy).toFixed(1)} %${validation}.`;
    by("training").dataset.losses = JSON.stringify(state.history.map((epoch) => epoch.train.loss));
    by("training").dataset.over = state.over;
    drawLoss(state);
    if (learnt) {
      if (tokens?.length) scatter.show(learnt, tokens);
    }
    by("use").disabled = by("download").disabled = state.history.length === 0;
  };

  const attempt = (job) => async (event) => {
    event?.preventDefault();
    trouble();
    try {
      await job(event);
    } catch (error) {
      trouble(error.message);
    }
  };

  const open = async (file, bytes) => {
    if (bytes.length > MOST_BYTES) throw new Error(`${file}: ${bytes.length >> 20} MB; a page takes up to ${MOST_BYTES >> 20}. Train with the convlens program instead.`);
    helper ??= new Helper(onEvent);
    const { rows, columns } = await helper.ask("columns", bytes);
    [csv, name] = [bytes, file];
    by("table").textContent = `${file}: ${rows} rows`;
    const options = () => columns.map((column) => element("option", column.name, { value: column.name, title: column.examples.join(" · ") }));
    by("text-column").replaceChildren(...options());
    by("label-column").replaceChildren(...options());
    const most = [...columns].sort((a, b) => b.distinct - a.distinct);
    const named = (...names) => columns.find((column) => names.includes(column.name.toLowerCase()))?.name;
    by("text-column").value = named("text", "review", "sentence") ?? most[0].name;
    by("label-column").value = named("label", "sentiment", "class") ?? most.at(-1).name;
    by("settings").hidden = false;
  };

  by("file").onchange = attempt(async ({ target }) => {
    const [file] = target.files;
    if (file) await open(file.name, new Uint8Array(await file.arrayBuffer()));
  });
  by("sample").onclick = attempt(async () => {
    const response = await fetch("sample.csv");
    if (!response.ok) throw new Error(`sample.csv: the server says ${response.status}`);
    await open("sample.csv", new Uint8Array(await response.arrayBuffer()));
  });
  by("settings").onsubmit = attempt(async () => {
    const settings = {
      name,
      textColumn: by("text-column").value,
      labelColumn: by("label-column").value,
      preset: by("preset").value,
      vocabSize: 10_000,
      epochs: Number(by("epochs").value),
      seed: 0,
    };
    by("training").hidden = false;
    by("training").dataset.over = false;
    [by("start").disabled, by("stop").hidden] = [true, false];
    by("use").disabled = by("download").disabled = true;
    tokens = undefined;
    try {
      const trained = helper.ask("train", csv, settings);
      tokens = await helper.ask("trainedTokens");
      await trained;
    } finally {
      [by("start").disabled, by("stop").hidden] = [false, true];
    }
  });
  by("stop").onclick = attempt(() => helper.ask("stop"));
  by("use").onclick = attempt(async () => onUse(helper, await helper.ask("use"), name));
  by("download").onclick = attempt(async () => {
    const zip = await helper.ask("folder");
    const link = element("a", "", { href: URL.createObjectURL(new Blob([zip], { type: "application/zip" })), download: `${name.replace(/\.[^.]*$/, "")}-run.zip` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}
