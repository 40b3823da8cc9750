/** Mouse, pen and fingers on an element, told as zoom, pan, point and pick. */

type Point = [x: number, y: number];

export interface Gestures {
  /** Returns false when nothing was zoomed, so that the page may scroll. */
  zoom(ratio: number, x: number, y: number): boolean;
  pan(dx: number, dy: number): void;
  /** Null = the pointer left. */
  point(at: Point | null): void;
  pick(x: number, y: number): void;
}

/** A press that moves less, CSS pixels, is a click. */
const CLICK_RADIUS = 4;
/** After so long a pause, ms, turning the wheel is a new gesture. */
const WHEEL_PAUSE = 300;

/** Listen until the function that is returned is called. */
export function onGestures(element: HTMLElement, gestures: Gestures): () => void {
  const pressed = new Map<number, Point>();
  let start: Point | null = null;
  let isDrag = false;
  const at = (event: MouseEvent): Point => placeIn(element, event);
  const release = (event: PointerEvent): void => {
    pressed.delete(event.pointerId);
    if (!pressed.size) element.classList.remove("matir-dragged");
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    element.setPointerCapture(event.pointerId);
    isDrag = pressed.size > 0;
    start = at(event);
    pressed.set(event.pointerId, start);
  });
  element.addEventListener("pointermove", (event) => {
    const now = at(event);
    const before = pressed.get(event.pointerId);
    if (!before || !start) {
      gestures.point(now);
      return;
    }
    isDrag ||= distance(start, now) > CLICK_RADIUS;
    if (!isDrag) return;
    element.classList.add("matir-dragged");
    const other = [...pressed].find(([id]) => id !== event.pointerId)?.[1];
    pressed.set(event.pointerId, now);
    const share = other ? 2 : 1;
    gestures.pan((now[0] - before[0]) / share, (now[1] - before[1]) / share);
    if (!other) return;
    const ratio = distance(now, other) / Math.max(distance(before, other), 1);
    gestures.zoom(ratio, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  });
  element.addEventListener("pointerup", (event) => {
    if (pressed.has(event.pointerId) && !isDrag) gestures.pick(...at(event));
    release(event);
  });
  element.addEventListener("pointercancel", release);
  element.addEventListener("pointerleave", () => gestures.point(null));
  return onWheel(element, gestures);
}

/** A page that scrolls under a resting pointer must not zoom the picture that comes by. */
function onWheel(element: HTMLElement, { zoom }: Gestures): () => void {
  let scrolledAt = Number.NEGATIVE_INFINITY;
  element.addEventListener(
    "wheel",
    (event) => {
      const isScroll = event.timeStamp - scrolledAt < WHEEL_PAUSE && !event.ctrlKey;
      const lines = event.deltaMode ? 16 : 1;
      const ratio = Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015));
      if (!isScroll && (zoom(ratio, ...placeIn(element, event)) || ratio > 1))
        event.preventDefault();
      else scrolledAt = event.timeStamp;
    },
    { passive: false },
  );
  const elsewhere = (event: WheelEvent): void => {
    if (!event.composedPath().includes(element)) scrolledAt = event.timeStamp;
  };
  window.addEventListener("wheel", elsewhere, { passive: true, capture: true });
  return () => window.removeEventListener("wheel", elsewhere, { capture: true });
}

function placeIn(element: HTMLElement, event: MouseEvent): Point {
  const { left, top } = element.getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}
