// @ts-check
/** The one module that talks to the server: requests and their errors, and the events of ComfyUI's websocket. */

/** @import { Transport } from "./types.js" */

export const PREFIX = "/comfy-env";

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
