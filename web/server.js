// @ts-check
/** The one module that talks to the server: requests, their errors, and the events of ComfyUI's websocket. */

/** @import { Transport } from "./types.js" */

export const PREFIX = "/comfy-env";

/** Where ComfyUI is mounted: this file is served at <base>comfy-env/web/server.js, perhaps behind a reverse proxy. */
const BASE = new URL("../../", import.meta.url);

const FIRST_RETRY_MS = 300;
const LONGEST_RETRY_MS = 5000;

/** A request that did not succeed. `code`: the server's, or "unreachable", or "unreadable" for an answer of another shape. */
export class ServerError extends Error {
  /** @param {{ status: number, code: string, message: string, remedy: string }} problem */
  constructor({ status, code, message, remedy }) {
    super(message);
    this.name = "ServerError";
    this.status = status;
    this.code = code;
    this.remedy = remedy;
  }
}

/**
 * A path with ids in it, each of them encoded: site ids hold slashes.
 * @param {TemplateStringsArray} parts
 * @param {...string} ids
 */
export function path(parts, ...ids) {
  return String.raw({ raw: parts }, ...ids.map(encodeURIComponent));
}

/** Paths are below /comfy-env: `get("/status")`. Every method that asks rejects with a ServerError, or an AbortError. */
export class Server {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * @param {string} path
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<any>} what the operation answers: parsed JSON, or text where it answers with text
   */
  get(path, { signal } = {}) {
    // Without "no-store" the second of two equal requests under way waits for the first one's place in the cache.
    return this.#ask(path, { method: "GET", cache: "no-store", signal });
  }

  /**
   * @param {string} path
   * @param {object} [body]
   * @returns {Promise<any>}
   */
  post(path, body = {}) {
    return this.#ask(path, withBody("POST", body));
  }

  /**
   * @param {string} path
   * @param {object} [body]
   * @returns {Promise<any>}
   */
  delete(path, body = {}) {
    return this.#ask(path, withBody("DELETE", body));
  }

  /**
   * @param {string} event
   * @param {(detail: any) => void} listener
   */
  on(event, listener) {
    return this.#transport.on(event, listener);
  }

  /** @param {() => void} listener */
  onLost(listener) {
    return this.#transport.onLost(listener);
  }

  /** @param {() => void} listener called when events come again; those sent meanwhile are lost */
  onReconnect(listener) {
    return this.#transport.onReconnect(listener);
  }

  /** @returns {string | null} */
  get clientId() {
    return this.#transport.clientId();
  }

  /**
   * For links, e.g. to a download.
   * @param {string} path
   */
  url(path) {
    return this.#transport.url(PREFIX + path);
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   */
  async #ask(path, init) {
    let response;
    try {
      response = await this.#transport.fetch(PREFIX + path, init);
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ServerError({
        status: 0,
        code: "unreachable",
        message: `The server did not answer: ${error instanceof Error ? error.message : error}`,
        remedy: "See whether ComfyUI is running.",
      });
    }
    if (!response.ok) throw await refusalIn(response);
    return readable(response);
  }
}

/**
 * @param {string} method
 * @param {object} body
 * @returns {RequestInit}
 */
function withBody(method, body) {
  return { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

/** @param {Response} response */
async function readable(response) {
  if (!isJson(response)) return response.text();
  try {
    return await response.json();
  } catch {
    throw unreadable(response, "it is no JSON");
  }
}

/**
 * The server's own words, if the answer has them: what stands between may have answered in its place.
 * @param {Response} response
 */
async function refusalIn(response) {
  const answer = isJson(response) ? await response.json().catch(() => null) : null;
  const { code, message, remedy } = answer?.error ?? {};
  if (typeof code !== "string") return unreadable(response, "it has no error of ours");
  return new ServerError({ status: response.status, code, message, remedy });
}

/**
 * @param {Response} response
 * @param {string} why
 */
function unreadable(response, why) {
  return new ServerError({
    status: response.status,
    code: "unreadable",
    message: `The answer, with status ${response.status}, cannot be understood: ${why}.`,
    remedy: "Reload the page. If that does not help, something between this page and ComfyUI answers in its place.",
  });
}

/** @param {Response} response */
function isJson(response) {
  return (response.headers.get("Content-Type") ?? "").startsWith("application/json");
}

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
