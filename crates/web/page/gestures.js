// Moves and zooms a canvas by mouse, touch and wheel.

/** A pointer that moved less than this many pixels was a tap. */
const TAP = 8;

const between = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);

/** Calls `move(right, down)`, `scale(factor, place)`, and `point(place)` when the user points or taps. A place has
 *  `clientX` and `clientY`. */
export function gestures(canvas, { move, scale, point }) {
  const pressed = new Map();
  let distance = 0;
  let moved = [0, 0];
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    if (pressed.size === 0) [distance, moved] = [0, [0, 0]];
    pressed.set(event.pointerId, event);
  });
  canvas.addEventListener("pointermove", (event) => {
    const from = pressed.get(event.pointerId);
    if (!from) return point(event);
    pressed.set(event.pointerId, event);
    distance += between(from, event);
    if (pressed.size === 1) {
      const step = [event.clientX - from.clientX, event.clientY - from.clientY];
      moved = moved.map((sum, axis) => sum + step[axis]);
      return move(...step);
    }
    const other = [...pressed.values()].find(({ pointerId }) => pointerId !== event.pointerId);
    const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
    scale(between(event, other) / Math.max(1, between(from, other)), middle);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (pressed.delete(event.pointerId) && distance < TAP) point(event);
  });
  // The browser takes over a finger that scrolls the page; its movement so far is undone.
  canvas.addEventListener("pointercancel", ({ pointerId }) => {
    if (pressed.delete(pointerId) && pressed.size === 0) move(-moved[0], -moved[1]);
  });
  canvas.addEventListener("wheel", (event) => {
    // The wheel scrolls the page unless Ctrl or ⌘ is held or the canvas has the focus.
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
    event.preventDefault();
    scale(event.deltaY < 0 ? 1.25 : 0.8, event);
  }, { passive: false });
}
