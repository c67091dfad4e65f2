// @ts-check
/**
 * Small pictures, drawn for this panel on a grid of 16 by 16 with lines of 1.5. They take the colour and the size of the
 * text they stand in, and are hidden from screen readers: a word always stands beside them or on their button.
 */

import { svg } from "./html.js";

const DRAWINGS = {
  packs: svg`<path d="M8 1.8 13.7 5v6L8 14.2 2.3 11V5z M2.5 5.1 8 8.2l5.5-3.1 M8 8.2v5.8"/>`,
  workers: svg`<path d="M1.5 8.5h3L6.3 4l3.2 8 1.8-3.5h3.2"/>`,
  disk: svg`<ellipse cx="8" cy="4" rx="5.5" ry="2.2"/><path d="M2.5 4v8c0 1.2 2.5 2.2 5.5 2.2s5.5-1 5.5-2.2V4 M2.5 8c0 1.2 2.5 2.2 5.5 2.2s5.5-1 5.5-2.2"/>`,
  settings: svg`<path d="M2 4.5h6.5 M12.5 4.5H14 M2 11.5h1.5 M7.5 11.5H14"/><circle cx="10.5" cy="4.5" r="2"/><circle cx="5.5" cy="11.5" r="2"/>`,
  help: svg`<circle cx="8" cy="8" r="6.2"/><path d="M6.1 6.2a2 2 0 1 1 2.9 1.8c-.7.4-1 .8-1 1.4 M8 11.6v.1"/>`,
  check: svg`<path d="m2.8 8.6 3.4 3.4 7-7.6"/>`,
  cross: svg`<path d="m4 4 8 8 M12 4l-8 8"/>`,
  warning: svg`<path d="M8 2.2 14.4 13.5H1.6z M8 6.6v3 M8 11.6v.1"/>`,
  failed: svg`<circle cx="8" cy="8" r="6.2"/><path d="m5.7 5.7 4.6 4.6 M10.3 5.7l-4.6 4.6"/>`,
  ready: svg`<circle cx="8" cy="8" r="6.2"/><path d="m5.2 8.3 2 2 3.7-4.2"/>`,
  building: svg`<path d="M8 1.8a6.2 6.2 0 1 1-6.2 6.2"/>`,
  queued: svg`<circle cx="8" cy="8" r="6.2"/><path d="M8 4.6V8l2.3 1.5"/>`,
  unbuilt: svg`<circle cx="8" cy="8" r="6.2" stroke-dasharray="2.6 2.27"/>`,
  stale: svg`<path d="M13.6 6.4A6 6 0 0 0 2.9 4.6 M2.4 9.6a6 6 0 0 0 10.7 1.8 M2.6 1.8v3h3 M13.4 14.2v-3h-3"/>`,
  rebuild: svg`<path d="M13.6 8A5.6 5.6 0 1 1 11.9 4 M12.2 1.4v2.9H9.3"/>`,
  build: svg`<path d="m4.5 2.8 8.4 5.2-8.4 5.2z"/>`,
  stop: svg`<rect x="3.8" y="3.8" width="8.4" height="8.4" rx="1"/>`,
  back: svg`<path d="M10 3 5 8l5 5"/>`,
  forward: svg`<path d="m6 3 5 5-5 5"/>`,
  down: svg`<path d="m3 6 5 5 5-5"/>`,
  undo: svg`<path d="M3 6.2h6.6a3.7 3.7 0 0 1 0 7.4H6 M5.8 3.2l-3 3 3 3"/>`,
  trash: svg`<path d="M2.8 4.3h10.4 M6 4.1V2.6h4v1.5 M4.2 4.5l.6 9h6.4l.6-9 M6.7 6.9v4.2 M9.3 6.9v4.2"/>`,
  log: svg`<path d="M3 3.2h10 M3 6.4h7 M3 9.6h10 M3 12.8h5"/>`,
  file: svg`<path d="M3.5 1.8h5.6l3.4 3.4v9h-9z M9 2v3.4h3.3"/>`,
  copy: svg`<rect x="5.5" y="5.5" width="8" height="8.5" rx="1"/><path d="M10.5 5.3V2.5h-8v8.5h2.8"/>`,
  download: svg`<path d="M8 2v8.2 M4.6 7.2 8 10.6l3.4-3.4 M2.5 13.8h11"/>`,
  search: svg`<circle cx="7" cy="7" r="4.6"/><path d="m10.5 10.5 3.6 3.6"/>`,
  up: svg`<path d="m3 10 5-5 5 5"/>`,
  newest: svg`<path d="M8 2v8 M4.6 6.8 8 10.2l3.4-3.4 M3 13.5h10"/>`,
  wrap: svg`<path d="M2.5 3.5h11 M2.5 8h8.7a2.3 2.3 0 0 1 0 4.6H8 M9.8 10.6l-2 2 2 2 M2.5 12.6h2.3"/>`,
  pause: svg`<path d="M5.2 3v10 M10.8 3v10"/>`,
  info: svg`<circle cx="8" cy="8" r="6.2"/><path d="M8 7.4v4 M8 4.7v.1"/>`,
  plug: svg`<path d="m2 14 2.6-2.6 M5.2 5.8l5 5-1.3 1.3a3.5 3.5 0 0 1-5-5z M10.8 10.2l-5-5 1.3-1.3a3.5 3.5 0 0 1 5 5z M14 2l-2.6 2.6"/>`,
};

/** @typedef {keyof typeof DRAWINGS} IconName */

/** @param {IconName} name */
export function icon(name) {
  return svg`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" data-icon=${name}>${DRAWINGS[name]}</svg>`;
}
