// Helpers for all parts of the page.

export const by = (id) => document.getElementById(id);
export const element = (name, text, properties = {}) => Object.assign(document.createElement(name), { textContent: text ?? "" }, properties);
export const signed = (value, digits = 4) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
/** A number of things, such as *1 word* or *2,000 words*. */
export const counted = (count, unit) => `${count.toLocaleString("en")} ${unit}${count === 1 ? "" : "s"}`;
/** Joins names; a long list is cut, with the number of the rest. */
export const listed = (names, most = 8) =>
  names.length > most ? `${names.slice(0, most).join(", ")} and ${names.length - most} more` : names.join(", ");

/** A custom property of the style sheet. The values differ between light and dark. */
export const styled = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Clears a canvas, matches its resolution to the screen, and returns its context. */
export function cleared(canvas) {
  const density = devicePixelRatio || 1;
  // Setting the size clears the canvas.
  Object.assign(canvas, { width: canvas.clientWidth * density, height: canvas.clientHeight * density });
  const pen = canvas.getContext("2d");
  pen.scale(density, density);
  return pen;
}

let errorKind;
/** Shows an error until `clearError` is called with the same kind. */
export function showError(kind, message) {
  errorKind = kind;
  by("trouble").textContent = message;
  by("trouble").hidden = false;
}
export function clearError(kind) {
  if (kind !== errorKind) return;
  by("trouble").textContent = "";
  by("trouble").hidden = true;
}
/** Shows the error of a promise that fails. */
export const reportErrors = (kind, promise) => promise.catch((error) => showError(kind, error.message));

let pending;
/** Announces a text to screen readers after `wait` milliseconds, unless a newer one comes first: what changes
 *  with every key should not be read out with every key. */
export function say(text, wait = 0) {
  clearTimeout(pending);
  pending = setTimeout(() => (by("said").textContent = text), wait);
}

/** A label with its probability as a bar. */
export function bar(label, probability) {
  const line = element("div", "", { className: "bar" });
  const meter = element("meter", "", { value: probability, min: 0, max: 1 });
  meter.setAttribute("aria-label", `${label} ${percent(probability)}`);
  line.append(element("span", label), meter, element("span", percent(probability), { className: "number" }));
  return line;
}

/** A table in a box that scrolls if the table is wider than the page. */
export function table(head, rows) {
  const body = element("table");
  // Numbers are kept on one line; words are wrapped.
  const cellOf = (cell, name) =>
    cell instanceof Node ? cell : element(name, cell, { className: /^[+−]?[\d.]+$/.test(cell) ? "number" : "" });
  const row = (cells, name) => {
    const line = element("tr");
    line.append(...cells.map((cell) => cellOf(cell, name)));
    return line;
  };
  body.append(row(head, "th"), ...rows.map((cells) => row(cells, "td")));
  const scroll = element("div", "", { className: "scroll" });
  scroll.append(body);
  return scroll;
}
