"use strict";
// Shows the phrase and its parts when a word is hovered, tapped or focused; arrow keys move between words.
const tip = document.getElementById("tip");
function show(word) {
  tip.textContent = word.dataset.tip;
  tip.hidden = false;
  const at = word.getBoundingClientRect();
  const left = Math.min(at.left, innerWidth - tip.offsetWidth - 8);
  const below = at.bottom + 6 + tip.offsetHeight < innerHeight;
  tip.style.left = Math.max(4, left) + "px";
  tip.style.top = (below ? at.bottom + 6 : Math.max(4, at.top - tip.offsetHeight - 6)) + "px";
}
function wordOf(event) { return event.target.closest ? event.target.closest(".word") : null; }
for (const kind of ["mouseover", "focusin", "click"]) {
  document.addEventListener(kind, event => { const word = wordOf(event); if (word) show(word); });
}
// Focusing a word can scroll the page, and scrolling moves the page under the mouse. Unless another word is
// hovered, the tip of the focused word stays.
function settle() {
  const focused = document.activeElement;
  if (focused.matches(".word") && !tip.hidden) show(focused);
  else tip.hidden = true;
}
document.addEventListener("mouseout", settle);
document.addEventListener("focusout", () => { tip.hidden = true; });
document.addEventListener("scroll", settle, { passive: true });
document.addEventListener("keydown", event => {
  const word = wordOf(event);
  if (event.key === "Escape") tip.hidden = true;
  if (!word || (event.key !== "ArrowRight" && event.key !== "ArrowLeft")) return;
  const words = [...word.closest(".text").querySelectorAll(".word")];
  const next = words[words.indexOf(word) + (event.key === "ArrowRight" ? 1 : -1)];
  if (next) { next.tabIndex = 0; next.focus(); event.preventDefault(); }
});

// The plane: hover or tap a point, search for a word, zoom with the buttons or the wheel, drag to move.
const canvas = document.getElementById("plane");
if (canvas) plane(canvas, JSON.parse(document.getElementById("points").textContent));

function plane(canvas, points) {
  const said = document.getElementById("said"), search = document.getElementById("search");
  const context = canvas.getContext("2d");
  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const all = points.words.map(([name, x, y, kind, says]) => ({ name, x, y, kind, says, word: true }))
    .concat(points.filters.map(([name, x, y, kind]) => ({ name, x, y, kind, word: false })));
  let view, found = [], near = null, drag = null;
  function whole() {
    const of = key => all.map(point => point[key]).sort((a, b) => a - b);
    const ends = values => [values[0], values[values.length - 1]];
    const [left, right] = ends(of("x")), [low, high] = ends(of("y"));
    view = { x: (left + right) / 2, y: (low + high) / 2, w: (right - left || 1) * 1.08, h: (high - low || 1) * 1.08 };
  }
  const px = point => (point.x - view.x) / view.w * canvas.clientWidth + canvas.clientWidth / 2;
  const py = point => canvas.clientHeight / 2 - (point.y - view.y) / view.h * canvas.clientHeight;
  function color(kind, alpha) {
    const rgb = kind === "for" ? style("--for") : kind === "against" ? style("--against") : kind || "140 140 140";
    return `rgb(${rgb} / ${alpha})`;
  }
  function draw() {
    const ratio = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const fill = {};
    for (const point of all) {
      const key = point.kind + point.word;
      fill[key] ??= color(point.kind, point.word ? .5 : 1);
      context.fillStyle = fill[key];
      const x = px(point), y = py(point);
      context.beginPath();
      if (point.word) context.arc(x, y, 2.2, 0, 7);
      else { context.moveTo(x, y - 6); context.lineTo(x + 5, y + 4); context.lineTo(x - 5, y + 4); context.closePath(); }
      context.fill();
      if (!point.word) { context.strokeStyle = style("--ink"); context.lineWidth = 1; context.stroke(); }
    }
    context.font = "14px system-ui, sans-serif";
    const taken = [];
    for (const point of found.concat(near ? [near] : [])) label(point, taken);
    context.fillStyle = style("--faint");
    context.fillText(points.axes[0] + " →", 8, canvas.clientHeight - 8);
    context.save(); context.translate(16, canvas.clientHeight - 30); context.rotate(-Math.PI / 2);
    context.fillText(points.axes[1] + " →", 0, 0); context.restore();
  }
  function label(point, taken) {
    const x = px(point), y = py(point), width = context.measureText(point.name).width;
    const left = Math.min(x + 8, canvas.clientWidth - width - 6);
    const isFree = top => !taken.some(box => left < box.left + box.width + 6 && box.left < left + width + 6 && Math.abs(top - box.top) < 20);
    const top = [-20, 6, -42, 28, -64, 50].map(shift => y + shift).find(isFree) ?? y - 20;
    taken.push({ left, width, top });
    context.fillStyle = style("--ground");
    context.fillRect(left - 3, top, width + 6, 20);
    context.fillStyle = style("--ink");
    context.fillText(point.name, left, top + 15);
    context.beginPath(); context.arc(x, y, 6, 0, 7); context.strokeStyle = style("--ink"); context.lineWidth = 2; context.stroke();
  }
  const describe = point => point.word ? `${point.name}: ${point.says}` : point.name;
  function nearest(event) {
    const frame = canvas.getBoundingClientRect();
    let best = null, least = 20 * 20;
    for (const point of all) {
      const d = (px(point) - event.clientX + frame.left) ** 2 + (py(point) - event.clientY + frame.top) ** 2;
      if (d < least) { least = d; best = point; }
    }
    return best;
  }
  function look(event) {
    near = nearest(event);
    if (near) said.textContent = describe(near);
    draw();
  }
  function zoom(factor) { view.w *= factor; view.h *= factor; draw(); }
  canvas.addEventListener("pointerdown", event => { drag = { x: event.clientX, y: event.clientY }; look(event); });
  addEventListener("pointerup", () => { drag = null; });
  canvas.addEventListener("pointermove", event => {
    if (drag && event.pointerType === "mouse") {
      view.x -= (event.clientX - drag.x) / canvas.clientWidth * view.w;
      view.y += (event.clientY - drag.y) / canvas.clientHeight * view.h;
      drag = { x: event.clientX, y: event.clientY };
    }
    look(event);
  });
  canvas.addEventListener("pointerleave", () => { near = null; draw(); });
  canvas.addEventListener("wheel", event => { if (event.ctrlKey || event.shiftKey) { event.preventDefault(); zoom(event.deltaY > 0 || event.deltaX > 0 ? 1.2 : 1 / 1.2); } }, { passive: false });
  document.getElementById("nearer").addEventListener("click", () => zoom(1 / 1.5));
  document.getElementById("farther").addEventListener("click", () => zoom(1.5));
  document.getElementById("all").addEventListener("click", () => { whole(); draw(); });
  search.addEventListener("input", () => {
    const text = search.value.trim().toLowerCase();
    const exact = all.filter(point => point.word && point.name.toLowerCase() === text);
    const begin = all.filter(point => point.word && point.name.toLowerCase().startsWith(text) && !exact.includes(point));
    found = text ? exact.concat(begin).slice(0, 8) : [];
    said.textContent = !text ? "" : found.length ? found.map(describe).join("; ") : `${search.value}: not in the vocabulary`;
    draw();
  });
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  whole();
  draw();
}
