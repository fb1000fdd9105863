// Connects the page to its workers: one reads, another trains.

import { Helper, newest } from "./ask.js";
import { by, counted, element, clearError, percent, listed, reportErrors, showError } from "./dom.js";
import { LearntView } from "./learnt.js";
import { ReadingView } from "./reading.js";
import { TagsView } from "./tags.js";
import { training } from "./train.js";
import { checkVersion, rememberVersion } from "./version.js";
import { WordBox } from "./words.js";
import { WriteView } from "./write.js";

/** The page's own model. It and a model trained here have: `helper`, the worker that reads with it; its `facts`,
 *  `title` and `accuracy`; `examples` of texts; and, once they have loaded, its `tokens` and `learnt`. */
const own = { helper: new Helper() };
/** The model in use; undefined until one is open. */
let model;
let site;
/** What the page's own model is computed on. */
let device = "cpu";
const deviceName = (name) => (name === "cpu" ? "the CPU" : "WebGPU");

const learntView = new LearntView();
const box = new WordBox();
const view = new ReadingView(
  box,
  (phrase) => reportErrors("phrase", askPhrase(phrase)),
  // Only if the plane that is shown belongs to the same model.
  (filter) => view.facts === learntView.facts && learntView.goTo(filter, view.reading.explains),
);

const tagsView = new TagsView(
  box,
  (word) => reportErrors("phrase", askWord(word)),
  (part) => reportErrors("read", turn(part)),
);
const writeView = new WriteView(box, (...question) => model.helper.ask(...question));
const taskOf = ({ facts }) => facts.config.task;
const viewOf = (model) => ({ tag: tagsView, lm: writeView })[taskOf(model)] ?? view;

const askPhrase = newest(async (phrase) => {
  const { reading } = view;
  const answer = await model.helper.ask("phrase", phrase, reading.number);
  // Ignored if another text has been read since.
  if (!answer || reading !== view.reading) return;
  view.showPhrase(phrase, answer, model.tokens);
  clearError("phrase");
});

const askWord = newest(async (word) => {
  const { reading } = tagsView;
  const answer = await model.helper.ask("word", word, reading.number);
  // Ignored if another text has been read, or another word chosen, since.
  if (!answer || reading !== tagsView.reading || word !== tagsView.chosen) return;
  tagsView.showEvidence(answer);
  clearError("phrase");
});

/** Reads another part of the text with a tagger. */
const turn = newest(async (part) => {
  const [asked, text] = [model, by("text").value];
  const reading = await asked.helper.ask("read", text, part);
  if (asked === model) tagsView.show(text, reading, asked.facts);
});

const read = newest(async (text) => {
  const asked = model;
  let [reading, lost] = [];
  try {
    reading = await asked.helper.ask("read", text);
  } catch (error) {
    if (asked !== own || device === "cpu") throw error;
    // A GPU can be lost at any time.
    lost = `${deviceName(device)}: ${error.message}; using the CPU instead`;
    await compute("cpu");
    reading = await asked.helper.ask("read", text);
  }
  ["read", "phrase"].forEach(clearError);
  if (lost) showError("read", lost);
  // Another model that replaced this one meanwhile has read the text itself.
  if (asked === model) viewOf(asked).show(text, reading, asked.facts);
});
const readBox = () => reportErrors("read", read(by("text").value));

/** Computes the page's own model on a device from now on. */
async function compute(name) {
  await own.helper.ask("open", name, site.layers);
  by("device").value = device = name;
}

/** Uses a model from now on. If it cannot read the text, nothing changes. */
async function adopt(next) {
  const text = by("text").value;
  const reading = await next.helper.ask("read", text);
  model = next;
  ["read", "phrase"].forEach(clearError);
  showFacts();
  by("device").disabled = next !== own;
  by("back").hidden = next === own || !own.facts;
  viewOf(next).show(text, reading, next.facts);
  if (next.learnt) learntView.show(next);
  if (by("text").value !== text) await read(by("text").value);
}

/** Describes the phrases of a classifier. */
function widthOf({ config, width }) {
  const unit = config.text?.tokenizer?.trained === "words" ? "word" : "token";
  return width === null ? "a phrase is the whole text" : `phrases of ${counted(width, unit)}`;
}
/** Describes what a tag, or the next token, depends on. */
const fieldOf = ({ width }) => `a tag depends on ${width === null ? "the whole sentence" : counted(width, "word")}`;
const contextOf = ({ width }) => `a token depends on ${width === null ? "the whole text" : counted(width, "token")} before it`;

/** Describes what a model was taught, and what it depends on. */
function describe(model) {
  const { facts } = model;
  const names = (labels) => `${facts.labels.length} ${labels}: ${listed(facts.labels)}`;
  if (taskOf(model) === "tag") return `${names("tags")}; ${fieldOf(facts)}`;
  if (taskOf(model) === "lm") return facts.labels.length ? `${names("labels")}; ${contextOf(facts)}` : contextOf(facts);
  return `${names("labels")}; ${widthOf(facts)}`;
}

function showFacts() {
  const { facts, title, accuracy, examples } = model;
  by("name").textContent = title;
  document.documentElement.dataset.task = facts.config.task;
  by("card").textContent = `Preset ${facts.config.preset}, trained on ${facts.config.dataset.name}; ${accuracy}${describe(model)}.`;
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
  if (!response.ok) throw new Error(`${path}: the server answered with status ${response.status}`);
  return response.json();
};

async function start() {
  site = await json("site.json");
  document.documentElement.dataset.task = site.task;
  own.facts = await own.helper.ask("open", site.small ? "small" : "cpu");
  const f1 = site.f1 === null ? "" : `, F1 of spans ${percent(site.f1, 2)}`;
  const measured = site.perplexity === null ? `accuracy ${percent(site.accuracy ?? 0, 2)}${f1}` : `perplexity ${site.perplexity.toFixed(2)}`;
  const accuracy = site.accuracy === null ? "" : `test ${measured}; `;
  Object.assign(own, { title: site.name, accuracy, examples: site.examples });
  by("text").value ||= site.examples[0] ?? "";
  if (!model) await adopt(own);
  else by("back").hidden = model === own;
  document.documentElement.dataset.ready = "read";
  performance.mark("first-score");

  const version = rememberVersion();
  if (taskOf(own) === "classify") await lookInside();
  await version;
  document.documentElement.dataset.ready = "all";
  if (site.webgpu && (await navigator.gpu?.requestAdapter?.())) {
    by("device").append(element("option", "WebGPU", { value: "webgpu" }));
  }
  await keep();
}

/** Loads what the page's own classifier has learnt. */
async function lookInside() {
  own.tokens = await own.helper.ask("tokens");
  if (site.small) await own.helper.ask("open", "cpu", site.layers);
  own.learnt = site.learnt === false ? await own.helper.ask("learnt") : await json("learnt.json");
  if (model === own) learntView.show(own);
}

/** Keeps the page's files for offline use if the browser allows it; private windows may not. */
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

// A model that opens later reads what is in the box.
by("text").addEventListener("input", () => model && readBox());
by("device").onchange = async ({ target }) => {
  clearError("device");
  target.disabled = true;
  try {
    if (target.value !== "cpu") await checkVersion();
    await compute(target.value);
    await read(by("text").value);
  } catch (error) {
    showError("device", `${deviceName(target.value)}: ${error.message}; still using ${deviceName(device)}`);
    target.value = device;
  }
  target.disabled = model !== own;
};
by("back").onclick = () => reportErrors("read", adopt(own));
training(async ({ name, ...trained }) => {
  await adopt({ ...trained, title: `${name}, trained here`, accuracy: "" });
  by("read").scrollIntoView();
});

// For scripts: asks the worker that reads.
globalThis.convlens = { ask: (verb, ...args) => (model ?? own).helper.ask(verb, ...args) };

reportErrors("page", start());
