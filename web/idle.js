// @ts-check
/** What can wait. */

/** For browsers that cannot tell when they are idle. */
const LATER_MS = 200;

/** @param {() => void} then called once, when the browser has nothing else to do */
export function whenIdle(then) {
  if (window.requestIdleCallback) window.requestIdleCallback(then);
  else setTimeout(then, LATER_MS);
}
