// What every part of the page draws with.

export const by = (id) => document.getElementById(id);
export const element = (name, text, properties = {}) => Object.assign(document.createElement(name), { textContent: text ?? "" }, properties);
export const signed = (value, digits = 4) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
/** Names, and of a long list how many more there are. */
export const some = (names, most = 8) =>
  names.length > most ? `${names.slice(0, most).join(", ")} and ${names.length - most} more` : names.join(", ");

/** A value of the style sheet's, which differ between light and dark. */
export const styled = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A canvas's pen, the canvas empty and as fine as the screen. */
export function cleared(canvas) {
  const dense = devicePixelRatio || 1;
  // To set its size clears it.
  Object.assign(canvas, { width: canvas.clientWidth * dense, height: canvas.clientHeight * dense });
  const pen = canvas.getContext("2d");
  pen.scale(dense, dense);
  return pen;
}

let kindOfTrouble;
/** Says what went wrong, until `mended` is told of the same kind. */
export function trouble(kind, message) {
  kindOfTrouble = kind;
  by("trouble").textContent = message;
  by("trouble").hidden = false;
}
export function mended(kind) {
  if (kind !== kindOfTrouble) return;
  by("trouble").textContent = "";
  by("trouble").hidden = true;
}
export const tried = (kind, promise) => promise.catch((error) => trouble(kind, error.message));

let saying;
/** Tells those who listen to the page, once nothing newer has come for so many milliseconds: what
 *  changes with every key is not to be read out at every key. */
export function say(text, wait = 0) {
  clearTimeout(saying);
  saying = setTimeout(() => (by("said").textContent = text), wait);
}

/** A table that scrolls by itself where it is wider than the page. */
export function table(head, rows) {
  const body = element("table");
  // A number is never broken; words are.
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
