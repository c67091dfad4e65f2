// @ts-check
/** Two ways to the server: through ComfyUI's page, and on our own. */

/** @import { Transport } from "./types.js" */

/** Where ComfyUI is mounted: this file is served at <base>comfy-env/web/transports.js, perhaps behind a reverse proxy. */
const BASE = new URL("../../", import.meta.url);

const FIRST_RETRY_MS = 300;
const LONGEST_RETRY_MS = 5000;

/**
 * ComfyUI's own connection, used inside its page.
 * @param {any} api the `api` object of ComfyUI's scripts/api.js
 * @returns {Transport}
 */
export function comfyuiTransport(api) {
  /**
   * @param {string} event
   * @param {(event: any) => void} listener
   */
  const listen = (event, listener) => {
    api.addEventListener(event, listener);
    return () => api.removeEventListener(event, listener);
  };
  return {
    fetch: (path, init) => api.fetchApi(path, init),
    url: (path) => api.apiURL(path),
    on: (event, listener) => listen(event, ({ detail }) => listener(detail)),
    onLost: (listener) => listen("reconnecting", () => listener()),
    onReconnect: (listener) => listen("reconnected", () => listener()),
    clientId: () => api.clientId ?? null,
  };
}

/**
 * A connection of our own, for the page that stands alone.
 * @param {{ base?: URL, open?: (url: string) => WebSocket, request?: typeof fetch }} [means] for tests
 * @returns {Transport & { close: () => void }}
 */
export function ownTransport({ base = BASE, open = (url) => new WebSocket(url), request = fetch } = {}) {
  const clientId = randomName();
  const socket = new LastingSocket(() => open(socketUrl(base, clientId)));
  /** @param {string} path */
  const url = (path) => new URL(path.replace(/^\//, ""), base).href;
  return {
    fetch: (path, init) => request(url(path), init),
    url,
    on: (event, listener) => socket.listeners(event).add(listener),
    onLost: (listener) => socket.lost.add(listener),
    onReconnect: (listener) => socket.reconnected.add(listener),
    clientId: () => clientId,
    close: () => socket.close(),
  };
}

/** Those who want to hear of something. */
class Listeners {
  /** @type {Set<(detail: any) => void>} */
  #all = new Set();

  /** @param {(detail: any) => void} listener */
  add(listener) {
    this.#all.add(listener);
    return () => void this.#all.delete(listener);
  }

  /** @param {unknown} [detail] */
  tell(detail) {
    for (const listener of [...this.#all]) listener(detail);
  }
}

/** A websocket that is opened again whenever it closes, first at once, then ever more seldom. */
class LastingSocket {
  lost = new Listeners();
  reconnected = new Listeners();
  /** @type {Map<string, Listeners>} by the name of the event */
  #listeners = new Map();
  /** @type {WebSocket | null} */
  #socket = null;
  #open;
  #retryMs = FIRST_RETRY_MS;
  #wasOpen = false;
  #isLost = false;
  #isClosed = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {() => WebSocket} open */
  constructor(open) {
    this.#open = open;
    this.#connect();
  }

  /** @param {string} event */
  listeners(event) {
    const known = this.#listeners.get(event) ?? new Listeners();
    this.#listeners.set(event, known);
    return known;
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #connect() {
    const socket = this.#open();
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = () => this.#ended();
  }

  #opened() {
    this.#retryMs = FIRST_RETRY_MS;
    if (this.#wasOpen) this.reconnected.tell();
    this.#wasOpen = true;
    this.#isLost = false;
  }

  /** @param {unknown} data text of ComfyUI's messages; its previews are binary */
  #received(data) {
    if (typeof data !== "string") return;
    const message = JSON.parse(data);
    this.#listeners.get(message.type)?.tell(message.data);
  }

  #ended() {
    if (this.#isClosed) return;
    this.#wasOpen = true; // events may have been sent before the first connection came about
    if (!this.#isLost) this.lost.tell();
    this.#isLost = true;
    this.#timer = setTimeout(() => this.#connect(), this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS);
  }
}

/**
 * @param {URL} base
 * @param {string} clientId
 */
function socketUrl(base, clientId) {
  const url = new URL(`ws?clientId=${clientId}`, base);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/** Not `crypto.randomUUID`, which pages of other machines have only over https. */
function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
