// Trains a small model on a visitor's file, and shows its progress.

import { Helper } from "./ask.js";
import { by, element, clearError, percent, say, showError } from "./dom.js";
import { LossChart } from "./loss.js";
import { Scatter } from "./scatter.js";
import { checkVersion } from "./version.js";

/** The largest file that a page takes. */
const MOST_BYTES = 64 << 20;

const checkSize = (name, size) => {
  if (size > MOST_BYTES) throw new Error(`${name}: ${size >> 20} MB; a page takes up to ${MOST_BYTES >> 20} MB. Train with the convlens program instead.`);
};

/** Describes the state of training in a sentence; `ended` says how it ended early, if it did. */
function describe(state, ended) {
  const last = state.history.at(-1);
  const epochs = (count) => `${count} epoch${count === 1 ? "" : "s"}`;
  const validation = last ? `; validation after epoch ${last.epoch}: loss ${last.validation.loss.toFixed(4)}, accuracy ${percent(last.validation.accuracy)}` : "";
  if (state.over) return `Done after ${epochs(state.history.length)}${validation}.`;
  if (ended && last) return `${ended} after ${epochs(last.epoch)}${validation}.`;
  if (ended) return `${ended} before the end of the first epoch; there is no model yet.`;
  const keeping = last ? validation : "; the model can be used after the first epoch";
  return `Epoch ${state.epoch} of ${state.epochs}, step ${state.step} of ${state.steps}: loss ${state.loss.toFixed(4)}, accuracy ${percent(state.accuracy)}${keeping}.`;
}

/** `onUse` is called with the trained model: the `helper` that reads with it, its `facts`, `tokens` and `learnt`,
 *  and the `name` of the file and `examples` from it. */
export function training(onUse) {
  const scatter = new Scatter(by("moving"));
  const chart = new LossChart(by("loss"));
  let helper;
  /** The file that is open, the file that training was started with, and the file of the trained model. */
  let [opened, begun, trained] = [];
  let [tokens, state, ended] = [];

  const showState = () => {
    by("progress").value = state.over ? 1 : (state.epoch - 1 + state.step / state.steps) / state.epochs;
    by("so-far").textContent = describe(state, ended);
    by("training").dataset.losses = JSON.stringify(state.history.map((epoch) => epoch.train.loss));
    by("training").dataset.over = state.over;
    by("use").disabled = by("download").disabled = state.history.length === 0;
  };

  const onEvent = (event) => {
    state = event.state;
    // Training has begun and has replaced the previous model.
    if (event.tokens) {
      [tokens, trained] = [event.tokens, begun];
      chart.begin();
    }
    chart.show(state);
    showState();
    if (event.learnt) scatter.show(event.learnt, tokens);
  };

  const attempt = (job) => async (event) => {
    event?.preventDefault();
    clearError("train");
    try {
      await job(event);
    } catch (error) {
      showError("train", error.message);
    }
  };

  const open = async (name, csv) => {
    checkSize(name, csv.length);
    if (!helper) {
      await checkVersion();
      helper = new Helper(onEvent);
    }
    const { rows, columns } = await helper.ask("columns", csv);
    opened = { name, csv, columns };
    by("table").textContent = `${name}: ${rows} rows`;
    const options = () => columns.map((column) => element("option", column.name, { value: column.name, title: column.examples.join(" · ") }));
    by("text-column").replaceChildren(...options());
    by("label-column").replaceChildren(...options());
    const most = [...columns].sort((a, b) => b.distinct - a.distinct);
    const named = (...names) => columns.find((column) => names.includes(column.name.toLowerCase()))?.name;
    by("text-column").value = named("text", "review", "sentence") ?? most[0].name;
    by("label-column").value = named("label", "sentiment", "class") ?? most.at(-1).name;
    by("settings").hidden = false;
  };

  const train = async (settings) => {
    const { name, csv, columns } = opened;
    const { examples } = columns.find((column) => column.name === settings.textColumn);
    begun = { name, examples: [...new Set(examples.filter((text) => text.trim()))] };
    [by("start").disabled, by("stop").hidden, by("training").hidden] = [true, false, false];
    by("training").dataset.over = false;
    by("use").disabled = by("download").disabled = true;
    by("so-far").textContent = "Learning the vocabulary…";
    by("progress").removeAttribute("value");
    const before = ended;
    ended = undefined;
    try {
      state = await helper.ask("train", csv, { name, ...settings });
      ended = "Stopped";
    } catch (error) {
      // If training could not begin, the previous model is still there.
      ended = begun === trained ? "Failed" : before;
      throw error;
    } finally {
      [by("start").disabled, by("stop").hidden] = [false, true];
      by("training").hidden = !trained;
      if (trained) showState();
    }
    say(by("so-far").textContent);
  };

  by("file").onchange = attempt(async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    checkSize(file.name, file.size);
    await open(file.name, new Uint8Array(await file.arrayBuffer()));
  });
  by("sample").onclick = attempt(async () => {
    const response = await fetch("sample.csv");
    if (!response.ok) throw new Error(`sample.csv: the server answered with status ${response.status}`);
    await open("sample.csv", new Uint8Array(await response.arrayBuffer()));
  });
  by("settings").onsubmit = attempt(async () => {
    await train({
      textColumn: by("text-column").value,
      labelColumn: by("label-column").value,
      preset: by("preset").value,
      vocabSize: 10_000,
      epochs: Number(by("epochs").value),
      seed: 0,
    });
  });
  by("stop").onclick = attempt(() => helper.ask("stop"));
  by("use").onclick = attempt(async () => onUse({ helper, ...trained, ...(await helper.ask("use")) }));
  by("download").onclick = attempt(async () => {
    const zip = await helper.ask("folder");
    const link = element("a", "", { href: URL.createObjectURL(new Blob([zip], { type: "application/zip" })), download: `${trained.name.replace(/\.[^.]*$/, "")}-run.zip` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}
