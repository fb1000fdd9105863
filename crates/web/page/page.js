// Wires the page to its workers: one reads, another trains.

import { Helper, newest } from "./ask.js";
import { Scatter } from "./scatter.js";
import { ColouredText, colour, element, signed } from "./text.js";
import { training } from "./train.js";

const by = (id) => document.getElementById(id);
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

let reader = new Helper();
let [site, facts, learnt, tokens, reading] = [];

const trouble = (message) => {
  by("trouble").textContent = message ?? "";
  by("trouble").hidden = !message;
};
const tried = (promise) => promise.catch((error) => trouble(error.message));

const coloured = new ColouredText(
  by("coloured"),
  { root: by("pager"), before: by("before"), after: by("after"), part: by("part") },
  newest((phrase) => tried(reader.ask("phrase", phrase).then((answer) => showPhrase(phrase, answer)))),
);
const scatter = new Scatter(by("plane"), ({ word, x, y, says }) => {
  by("found").textContent = `${word}: (${x.toFixed(3)}, ${y.toFixed(3)}); says ${signed(says, 3)} for ${facts.outputs[0]}`;
});

/** Which label a positive score speaks for. */
const explained = () => facts.outputs[reading.explains];

const read = newest(async (text) => {
  const result = await reader.ask("read", text);
  reading = result;
  showVerdict(text);
  coloured.show(text, result, facts.outputs.length);
  showStrongest();
});

function showVerdict(text) {
  const { label, probabilities, logits, explains, bias, milliseconds } = reading;
  const sum = logits[explains] - bias[explains];
  by("verdict").textContent = text
    ? `${facts.labels[label]} ${percent(probabilities[label])}: ${signed(logits[explains])} for ${explained()}, of which phrases ${signed(sum)} and bias ${signed(bias[explains])}`
    : "…";
  by("verdict").dataset.logits = JSON.stringify(logits);
  by("verdict").dataset.text = text.length;
  by("bars").replaceChildren(
    ...facts.labels.map((name, at) => {
      const bar = element("div", "", { className: "bar" });
      const meter = element("meter", "", { value: probabilities[at], min: 0, max: 1 });
      meter.setAttribute("aria-label", `${name} ${percent(probabilities[at])}`);
      bar.append(element("span", name), meter, element("span", percent(probabilities[at]), { className: "number" }));
      return bar;
    }),
  );
  by("latency").textContent = `read in ${milliseconds.toFixed(1)} ms`;
}

function showStrongest() {
  by("legend-low").textContent = `${signed(-coloured.largest)} against ${explained()}`;
  by("legend-high").textContent = `${signed(coloured.largest)} for ${explained()}`;
  const { strongest, centers } = reading;
  by("strongest").replaceChildren(
    ...[...strongest].map((phrase) => {
      const score = coloured.scoreOf(phrase);
      const text = coloured.textOf(phrase).replace(/\s+/g, " ");
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

function table(head, rows) {
  const body = element("table");
  const row = (cells, name) => {
    const line = element("tr");
    line.append(...cells.map((cell) => (cell instanceof Node ? cell : element(name, cell))));
    return line;
  };
  body.append(row(head, "th"), ...rows.map((cells) => row(cells, "td")));
  const scroll = element("div", "", { className: "scroll" });
  scroll.append(body);
  return scroll;
}

function showPhrase(phrase, { score, parts, exact, filters }) {
  const content = [element("p", `${signed(score)} for ${explained()}: ${coloured.textOf(phrase).replace(/\s+/g, " ").slice(0, 200)}`)];
  if (parts.length) {
    const shown = [...parts].sort((a, b) => Math.abs(b.score) - Math.abs(a.score)).slice(0, 40).sort((a, b) => a.place - b.place);
    const name = (part) => (part.token === null ? "(padding)" : coloured.textOfToken(part.token) || tokens?.[reading.ids[part.token]] || "");
    const rest = score - parts.reduce((sum, part) => sum + part.score, 0);
    const rows = shown.map((part) => [String(part.place), name(part), signed(part.score, 5)]);
    if (!exact) rows.push(["", "what the words leave over", signed(rest, 5)]);
    content.push(table(["place", "word", exact ? "adds" : "gradient × input"], rows));
  }
  if (filters?.length) {
    const linear = filters[0].share !== null;
    const rows = filters.map(({ filter, activation, share }) => {
      const cell = element("td");
      cell.append(element("button", `filter ${filter}`, { onclick: () => chooseFilter(filter, true) }));
      return [cell, activation.toFixed(3), ...(linear ? [signed(share, 5)] : [])];
    });
    content.push(element("h3", "Filters behind it"), table(["filter", "activation", ...(linear ? ["adds"] : [])], rows));
  }
  by("phrase").replaceChildren(...content);
}

function chooseFilter(filter, go) {
  by("filter").value = filter;
  scatter.mark(filter);
  const words = (list) => list.map(([word, score]) => `${word} ${signed(score, 2)}`).join(", ");
  by("filter-words").replaceChildren(
    table(["place", "norm", "excited by", "inhibited by"], (learnt.filters[filter] ?? []).map(({ place, norm, excite, inhibit }) => [String(place), norm.toFixed(2), words(excite), words(inhibit)])),
  );
  if (go) by("learnt").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

function showLearnt() {
  scatter.show(learnt, tokens);
  by("plane-text").textContent = `${learnt.x.length} words and ${learnt.points.length} places of filters in the plane of two principal components; blue says ${facts.outputs[0]}, orange speaks against it. A triangle is a place of a filter${learnt.points[0]?.[4] === null ? "" : ", upright where the filter counts for the label"}.`;
  by("filters-part").hidden = learnt.filters.length === 0;
  by("filter").replaceChildren(...learnt.filters.map((_, at) => element("option", String(at), { value: at })));
  if (learnt.filters.length) chooseFilter(0);
  scatter.mark(-1);
}

function showFacts(name, accuracy) {
  by("name").textContent = name;
  const width = facts.width === null ? "a phrase is the whole text" : `a phrase is ${facts.width} words wide`;
  by("card").textContent = `${facts.config.preset} on ${facts.config.dataset.name}; ${accuracy}${facts.labels.length} labels: ${facts.labels.join(", ")}; ${width}.`;
}

async function begin() {
  site = await (await fetch("site.json")).json();
  facts = await reader.ask("open", site.table ? "table" : "cpu");
  showFacts(site.name, site.accuracy === null ? "" : `test accuracy ${percent(site.accuracy, 2)}; `);
  by("examples").replaceChildren(
    ...site.examples.map((text) =>
      element("button", text.length > 60 ? `${text.slice(0, 57)}…` : text, {
        onclick: () => {
          by("text").value = text;
          tried(read(text));
        },
      }),
    ),
  );
  by("text").value ||= site.examples[0] ?? "";
  await read(by("text").value);
  document.documentElement.dataset.ready = "read";
  performance.mark("first-score");

  [learnt, tokens] = await Promise.all([fetch("learnt.json").then((response) => response.json()), reader.ask("tokens")]);
  showLearnt();
  if (site.layers) await reader.ask("open", "cpu", true);
  document.documentElement.dataset.ready = "all";
  if (site.webgpu && (await navigator.gpu?.requestAdapter?.())) {
    by("device").append(element("option", "WebGPU", { value: "webgpu" }));
  }
  if ("serviceWorker" in navigator) {
    await navigator.serviceWorker.register("offline.js");
    await navigator.serviceWorker.ready;
    document.documentElement.dataset.ready = "offline";
  }
}

by("text").addEventListener("input", () => tried(read(by("text").value)));
by("search").addEventListener("input", ({ target }) => {
  const word = target.value.trim().toLowerCase();
  if (word && !scatter.find(word)) by("found").textContent = `${word} is not in the vocabulary`;
});
by("closer").onclick = () => scatter.scale(1.5);
by("farther").onclick = () => scatter.scale(1 / 1.5);
by("whole").onclick = () => scatter.whole();
by("filter").onchange = ({ target }) => chooseFilter(Number(target.value));
by("device").onchange = async ({ target }) => {
  trouble();
  target.disabled = true;
  try {
    await reader.ask("open", target.value, site.layers);
    await read(by("text").value);
  } catch (error) {
    trouble(`${target.value}: ${error.message}; the CPU reads on`);
    target.value = "cpu";
  }
  target.disabled = false;
};
training(trouble, async (helper, itsFacts, name) => {
  [reader, facts] = [helper, itsFacts];
  by("device").disabled = true;
  showFacts(`${name}, trained here`, "");
  [tokens, learnt] = [await reader.ask("tokens"), await reader.ask("learnt", 10)];
  showLearnt();
  await read(by("text").value);
  by("read").scrollIntoView();
});

// For whoever scripts the page: asks the worker that reads.
globalThis.convlens = { ask: (verb, ...args) => reader.ask(verb, ...args) };

tried(begin());
