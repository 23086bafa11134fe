/** Frames of a page, which a covered window does not get. */

/** Calls back at the next frame, or after 100 ms: a covered window gets no frames. */
export function nextFrame(callback: () => void): void {
  let isCalled = false;
  const once = () => {
    if (isCalled) return;
    isCalled = true;
    clearTimeout(timer);
    callback();
  };
  const timer = setTimeout(once, 100);
  requestAnimationFrame(once);
}
