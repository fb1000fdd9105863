// How one moves about on a canvas: by mouse, by fingers, by wheel.

/** A pointer that went less far than this, in points of the screen, was a tap. */
const TAP = 8;

const between = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);

/** Calls `move(right, down)`, `scale(factor, place)` and, for what is pointed at or tapped, `point(place)`;
 *  a place has `clientX` and `clientY`. */
export function gestures(canvas, { move, scale, point }) {
  const pressed = new Map();
  let travelled = 0;
  let moved = [0, 0];
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    if (pressed.size === 0) [travelled, moved] = [0, [0, 0]];
    pressed.set(event.pointerId, event);
  });
  canvas.addEventListener("pointermove", (event) => {
    const from = pressed.get(event.pointerId);
    if (!from) return point(event);
    pressed.set(event.pointerId, event);
    travelled += between(from, event);
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
    if (pressed.delete(event.pointerId) && travelled < TAP) point(event);
  });
  // The browser takes a finger over that scrolls the page; what it moved until then was not meant.
  canvas.addEventListener("pointercancel", ({ pointerId }) => {
    if (pressed.delete(pointerId) && pressed.size === 0) move(-moved[0], -moved[1]);
  });
  canvas.addEventListener("wheel", (event) => {
    // The page's own wheel, until one asks for the canvas's.
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
    event.preventDefault();
    scale(event.deltaY < 0 ? 1.25 : 0.8, event);
  }, { passive: false });
}
