// Wires the page to its workers: one reads, another trains.

import { Helper, newest } from "./ask.js";
import { by, element, mended, percent, some, tried, trouble } from "./dom.js";
import { LearntView } from "./learnt.js";
import { ReadingView } from "./reading.js";
import { training } from "./train.js";
import { checkVersion, rememberVersion } from "./version.js";

/** Of the page's own model and of one trained here: `helper`, the worker that reads with it, its `facts`,
 *  its `title` and `accuracy`, `examples` of texts, and, once they are there, its `tokens` and `learnt`. */
const own = { helper: new Helper() };
/** The one that reads; none until one is open. */
let model;
let site;
/** What the page's own model computes on. */
let device = "cpu";
const called = (name) => (name === "cpu" ? "the CPU" : "WebGPU");

const learntView = new LearntView();
const view = new ReadingView(
  (phrase) => tried("phrase", askPhrase(phrase)),
  // Where its model is the one whose plane is shown.
  (filter) => view.facts === learntView.facts && learntView.goTo(filter, view.reading.explains),
);

const askPhrase = newest(async (phrase) => {
  const { reading } = view;
  const answer = await model.helper.ask("phrase", phrase, reading.number);
  // Where another text has been read since, nobody waits for this any more.
  if (!answer || reading !== view.reading) return;
  view.showPhrase(phrase, answer, model.tokens);
  mended("phrase");
});

const read = newest(async (text) => {
  const asked = model;
  let [reading, lost] = [];
  try {
    reading = await asked.helper.ask("read", text);
  } catch (error) {
    if (asked !== own || device === "cpu") throw error;
    // A device may be lost at any time.
    lost = `${called(device)}: ${error.message}; the CPU reads on`;
    await compute("cpu");
    reading = await asked.helper.ask("read", text);
  }
  ["read", "phrase"].forEach(mended);
  if (lost) trouble("read", lost);
  // Another model that has come meanwhile has read for itself.
  if (asked === model) view.show(text, reading, asked.facts);
});
const readBox = () => tried("read", read(by("text").value));

/** Has the page's own model compute on a device from here on. */
async function compute(name) {
  await own.helper.ask("open", name, site.layers);
  by("device").value = device = name;
}

/** Reads with a model from here on; where it cannot read, all stays as it was. */
async function adopt(next) {
  const text = by("text").value;
  const reading = await next.helper.ask("read", text);
  model = next;
  ["read", "phrase"].forEach(mended);
  showFacts();
  by("device").disabled = next !== own;
  by("back").hidden = next === own || !own.facts;
  view.show(text, reading, next.facts);
  if (next.learnt) learntView.show(next);
  if (by("text").value !== text) await read(by("text").value);
}

function showFacts() {
  const { facts, title, accuracy, examples } = model;
  by("name").textContent = title;
  const unit = facts.config.text?.tokenizer?.trained === "words" ? "words" : "tokens";
  const width = facts.width === null ? "a phrase is the whole text" : `a phrase is ${facts.width} ${unit} wide`;
  by("card").textContent = `${facts.config.preset} on ${facts.config.dataset.name}; ${accuracy}${facts.labels.length} labels: ${some(facts.labels)}; ${width}.`;
  by("examples").replaceChildren(
    ...examples.map((text) =>
      element("button", text.length > 60 ? `${text.slice(0, 57)}…` : text, {
        onclick: () => {
          by("text").value = text;
          readBox();
        },
      }),
    ),
  );
}

const json = async (path) => {
  const response = await fetch(path, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${path}: the server says ${response.status}`);
  return response.json();
};

async function begin() {
  site = await json("site.json");
  own.facts = await own.helper.ask("open", site.table ? "table" : "cpu");
  const accuracy = site.accuracy === null ? "" : `test accuracy ${percent(site.accuracy, 2)}; `;
  Object.assign(own, { title: site.name, accuracy, examples: site.examples });
  by("text").value ||= site.examples[0] ?? "";
  if (!model) await adopt(own);
  else by("back").hidden = model === own;
  document.documentElement.dataset.ready = "read";
  performance.mark("first-score");

  const version = rememberVersion();
  own.tokens = await own.helper.ask("tokens");
  if (site.layers) await own.helper.ask("open", "cpu", true);
  own.learnt = site.learnt === false ? await own.helper.ask("learnt") : await json("learnt.json");
  if (model === own) learntView.show(own);
  await version;
  document.documentElement.dataset.ready = "all";
  if (site.webgpu && (await navigator.gpu?.requestAdapter?.())) {
    by("device").append(element("option", "WebGPU", { value: "webgpu" }));
  }
  await keep();
}

/** Has the page's files kept, where the browser lets it: a private window may not. */
async function keep() {
  try {
    await navigator.serviceWorker.register("offline.js");
    await navigator.serviceWorker.ready;
    document.documentElement.dataset.ready = "offline";
    by("offline").hidden = false;
  } catch (error) {
    console.info("This page does not work offline:", error);
  }
}

// Before a model is open there is nobody to ask; it then reads what is in the box.
by("text").addEventListener("input", () => model && readBox());
by("device").onchange = async ({ target }) => {
  mended("device");
  target.disabled = true;
  try {
    if (target.value !== "cpu") await checkVersion();
    await compute(target.value);
    await read(by("text").value);
  } catch (error) {
    trouble("device", `${called(target.value)}: ${error.message}; ${called(device)} reads on`);
    target.value = device;
  }
  target.disabled = model !== own;
};
by("back").onclick = () => tried("read", adopt(own));
training(async ({ name, ...trained }) => {
  await adopt({ ...trained, title: `${name}, trained here`, accuracy: "" });
  by("read").scrollIntoView();
});

// For whoever scripts the page: asks the worker that reads.
globalThis.convlens = { ask: (verb, ...args) => (model ?? own).helper.ask(verb, ...args) };

tried("page", begin());
