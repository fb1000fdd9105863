// A worker that reads texts with a run or trains one. The page has one for each.

/** How many words are shown for each filter. */
const FILTER_WORDS = 10;

let web;
let reader;
let training;
let stopped;
let newestText;
/** How many texts have been read, which is the number of the newest. */
let readings = 0;
let files;

const load = async (folder) => {
  const module = await import(`./${folder}/convlens_web.js`);
  await module.default();
  return module;
};
const bytes = async (path) => {
  const response = await fetch(new URL(path, import.meta.url), { cache: "no-cache" });
  if (!response.ok) throw new Error(`${path}: the server answered with status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
};
const filesOf = (folder) =>
  Promise.all(["config.json", "tokenizer.json", "model.safetensors"].map((name) => bytes(`${folder}/${name}`)));
const pause = () => new Promise((resolve) => setTimeout(resolve));

/** The fields of a reading as a plain object, which can be sent. */
const sent = (reading) => {
  const fields = Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(reading)));
  const plain = Object.fromEntries(fields.filter(([, { get }]) => get).map(([name]) => [name, reading[name]]));
  reading.free();
  return plain;
};

/** The class that reads or writes texts with a run, given by its files: that of its task, or the one that the module
 *  has. */
const readerOf = (module, [config]) => {
  const { task } = JSON.parse(new TextDecoder().decode(config));
  return { tag: module.TagReader, lm: module.Writer }[task] ?? module.Reader ?? module.SmallReader;
};

// One job after the other, because a reader that is reading cannot do anything else.
let before = Promise.resolve();
const inTurn = (job) => {
  const answer = before.then(job);
  before = answer.catch(() => {});
  return answer;
};

/** Verbs that wait for their turn. */
const verbs = {
  facts: () => JSON.parse(reader.facts()),
  tokens: () => JSON.parse(reader.tokens()),
  learnt: (count = FILTER_WORDS) => JSON.parse(reader.learnt(count)),
  /** Reads a text. A tagger reads one part of it at a time. */
  async read(text, part = 0) {
    const begin = performance.now();
    const reading = sent(await reader.read(text, part));
    newestText = text;
    return { ...reading, number: ++readings, milliseconds: performance.now() - begin };
  },
  /** A phrase of the reading with this number; null if another text has been read since. */
  phrase: (index, number = readings) => (number === readings ? JSON.parse(reader.phrase(index)) : null),
  /** Why a word of the reading with this number has its tag; null if another text has been read since. */
  word: (index, number = readings) => (number === readings ? JSON.parse(reader.word(index)) : null),

  /** Begins a text with a language model. */
  begin: (prompt, settings) => reader.begin(prompt, JSON.stringify(settings)),
  /** Writes some tokens more. */
  write: (count) => JSON.parse(reader.write(count)),
  /** Why a token that was written was chosen. */
  token: (index) => JSON.parse(reader.token(index)),

  async columns(csv) {
    web ??= await load("cpu");
    return JSON.parse(web.columns(csv));
  },
  /** Reads with the trained model from now on. */
  use() {
    reader = training.reader();
    newestText = undefined;
    readings++; // earlier readings do not belong to this reader
    return { facts: verbs.facts(), tokens: verbs.tokens(), learnt: verbs.learnt(FILTER_WORDS) };
  },
  folder: () => training.folder(),
};

/** Verbs that run at once: they wait for the network, or train, which `stop` must be able to interrupt. */
const atOnce = {
  /** Opens the page's run with a module: `small`, which can read some runs only, `cpu` or `webgpu`. With `withLayers`, the layers
   *  of a folded run are opened too. The previous reader stays in use until everything has loaded. */
  async open(name, withLayers) {
    const layers = withLayers ? ["layers/config.json", "layers/model.safetensors"].map(bytes) : [];
    files ??= filesOf("run");
    files.catch(() => (files = undefined));
    const [module, run, ...[config, weights]] = await Promise.all([load(name), files, ...layers]);
    return inTurn(async () => {
      const opened = readerOf(module, run).open(...run);
      if (name === "webgpu") await opened.use_webgpu();
      if (withLayers) opened.bring_layers(config, run[1], weights);
      // The page may ask about the phrases of the last text, so the new reader reads it too.
      if (newestText !== undefined) (await opened.read(newestText, 0)).free();
      reader = opened;
      if (name === "cpu") web = module;
      return JSON.parse(reader.facts());
    });
  },
  /** Trains to the end or until `stop`, and sends events about its progress. The first one has the tokens. */
  async train(csv, settings) {
    web ??= await load("cpu");
    training = web.Training.begin(csv, JSON.stringify(settings));
    let tokens = JSON.parse(training.tokens());
    stopped = false;
    let state;
    let steps = 1;
    let [began, drawn] = [performance.now(), 0];
    let seconds = 0;
    do {
      state = JSON.parse(await training.steps(steps, seconds));
      const now = performance.now();
      seconds = (now - began) / 1000;
      // As many steps as take a twentieth of a second; then messages are handled.
      steps = Math.max(1, Math.min(200, Math.round((steps * 0.05) / Math.max(seconds, 1e-4))));
      began = now;
      const learnt = now - drawn > 700 || state.over ? JSON.parse(training.learnt(0)) : undefined;
      if (learnt) drawn = performance.now();
      postMessage({ event: { state, learnt, tokens } });
      tokens = undefined;
      await pause();
    } while (!state.over && !stopped);
    return state;
  },
  stop: () => void (stopped = true),
};

onmessage = async ({ data: { number, verb, args } }) => {
  try {
    const answer = atOnce[verb] ? atOnce[verb](...args) : inTurn(() => verbs[verb](...args));
    postMessage({ number, answer: await answer });
  } catch (error) {
    // A panic ends the module, which cannot be used any more.
    const failure = error instanceof WebAssembly.RuntimeError
      ? `internal error (${error.message}); reload the page, and please report this bug`
      : String(error?.message ?? error);
    postMessage({ number, error: failure });
  }
};
