// @ts-check
/** Stand-ins for what lies between the panel and the server. */

/** @import { Transport } from "../../web/types.js" */

/**
 * Answers requests from a table and lets a test send events.
 * @implements {Transport}
 */
export class FakeTransport {
  /** @type {string[]} "GET /comfy-env/status", in their order */
  requests = [];
  /** @type {Record<string, unknown>} what is at a path below /comfy-env; an Error: the request fails with it */
  answers = {};
  /** @type {Promise<void> | null} what every answer waits for */
  gate = null;
  /** @type {Map<string, Set<(detail?: any) => void>>} */
  #listeners = new Map();

  /** @param {Record<string, unknown>} answers */
  constructor(answers) {
    this.answers = answers;
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   */
  async fetch(path, { method = "GET" } = {}) {
    this.requests.push(`${method} ${path}`);
    await this.gate;
    const answer = this.answers[path.replace(/^\/comfy-env/, "")];
    if (answer instanceof Error) throw answer;
    if (answer === undefined) {
      return json({ error: { code: "unknown_route", message: `There is nothing at ${path}.`, remedy: "Ask for another." } }, 404);
    }
    return json(answer);
  }

  /** @param {string} path */
  url = (path) => path;

  /** @param {string} event @param {(detail: any) => void} listener */
  on(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** @param {() => void} listener */
  onLost = (listener) => this.on("lost", listener);
  /** @param {() => void} listener */
  onReconnect = (listener) => this.on("reconnected", listener);
  clientId = () => "page";

  /** @param {string} event @param {unknown} [detail] */
  send(event, detail) {
    for (const listener of this.#listeners.get(event) ?? []) listener(detail);
  }

  /** @param {string} path below /comfy-env */
  count(path) {
    return this.requests.filter((request) => request === `GET /comfy-env${path}`).length;
  }
}

/**
 * @param {unknown} body
 * @param {number} [code]
 */
export function json(body, code = 200) {
  return new Response(JSON.stringify(body), { status: code, headers: { "Content-Type": "application/json; charset=utf-8" } });
}

/** A websocket that does what a test says. */
export class FakeSocket {
  /** @type {FakeSocket[]} all that were opened, in their order */
  static opened = [];
  onopen = () => {};
  onclose = () => {};
  /** @type {(message: { data: unknown }) => void} */
  onmessage = () => {};
  isClosed = false;

  /** @param {string} url */
  constructor(url) {
    this.url = url;
    FakeSocket.opened.push(this);
  }

  close() {
    this.isClosed = true;
    this.onclose();
  }

  /** @param {string} type @param {unknown} data */
  receive(type, data) {
    this.onmessage({ data: JSON.stringify({ type, data }) });
  }
}

/** A page that is looked at, or not. */
export class FakePage extends EventTarget {
  /** @type {DocumentVisibilityState} */
  visibilityState = "visible";

  /** @param {DocumentVisibilityState} state */
  become(state) {
    this.visibilityState = state;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}
