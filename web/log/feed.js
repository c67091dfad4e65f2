// @ts-check
/**
 * Fills the lines of one log and keeps them current: the newest first, older ones when they are wanted, and what is
 * written from now on as the server sends it.
 *
 * The server sends to this page alone, for as long as the page says that it looks: each saying is good for `lease_s`.
 * Pieces that got lost are noticed by their places and fetched. Where pieces do not arrive at all (a websocket that some
 * proxy swallows), the end of the log is asked for every second.
 */

import { path, ServerError } from "../server.js";
import { LogLines } from "./lines.js";

/** @import { Server } from "../server.js" */
/** @import { LogEvent, LogPage } from "../types.js" */
/** @typedef {import("./lines.js").Piece} Piece */

/**
 * - "loading": nothing is known yet. "none": there is no log yet; it is looked for. "ready": lines are there.
 * - "failed": the server has refused, see `error`.
 * @typedef {"loading" | "none" | "ready" | "failed"} Phase
 */

const EVENT = "comfy-env.log";
const NO_LOG = "no_log";

export const TAIL_LINES = 2000;
const PAGE_BYTES = 256 * 1024;
/** For whoever wants all of it: the most that the server gives at once. */
const LARGEST_PAGE_BYTES = 1024 * 1024;
/** So far behind (a page that slept for hours), the newest lines are fetched and not all that came meanwhile. */
const TOO_FAR_BYTES = 16 * 1024 * 1024;
const POLL_MS = 1000;
const LOOK_FOR_A_LOG_MS = 2000;
const RETRY_MS = 3000;
/** Within which a piece arrives that the server knows of: it gathers for 100 ms. */
const GRACE_MS = 1000;
/** So many times in each lease it is renewed: one lost request must not end it. */
const RENEWALS = 3;

export class LogFeed {
  lines = new LogLines();
  /** @type {Phase} */
  phase = "loading";
  /** @type {ServerError | null} why the last request failed; null when one succeeded since. */
  error = null;
  isLoadingOlder = false;
  #server;
  #source;
  #path;
  #build;
  #changed;
  #isRunning = false;
  #isFetching = false;
  /** Whether more was asked for while fetching. */
  #fetchAgain = false;
  /** Whether pieces that the server knows of do not arrive by themselves. */
  #mustPoll = false;
  /** @type {Promise<void> | null} */
  #older = null;
  /** @type {(() => void)[]} */
  #offs = [];
  /** @type {Map<string, ReturnType<typeof setTimeout>>} by what they are for */
  #timers = new Map();

  /**
   * @param {{ server: Server, source: LogEvent["source"], build?: number, changed: () => void }} options `build`: 0 for the
   *   log of now, which goes on; 1 and 2 for those before it. `changed`: called after every change of what is known
   */
  constructor({ server, source, build = 0, changed }) {
    this.#server = server;
    this.#source = source;
    this.#path = source.kind === "environment" ? path`/environments/${source.id}/log` : path`/workers/${source.id}/log`;
    this.#build = build;
    this.#changed = changed;
  }

  /** Whether there is more of the log before the first line. */
  get hasOlder() {
    return this.lines.start > 0 && !this.lines.isFull;
  }

  /** Begins, or goes on after `pause`. */
  resume() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    if (this.#build > 0) {
      if (this.phase === "loading") void this.#begin();
      return;
    }
    this.#offs = [
      this.#server.on(EVENT, (event) => this.#heard(event)),
      this.#server.onReconnect(() => void this.#follow()),
    ];
    if (this.phase === "ready") void this.#follow();
    else void this.#begin();
  }

  /** Hears and asks nothing until `resume`. The server stops sending. */
  pause() {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    for (const off of this.#offs.splice(0)) off();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    if (this.#build > 0) return;
    const client_id = this.#server.clientId;
    // Not waited for, and not tried again: without it the lease runs out.
    if (client_id) this.#server.delete(`${this.#path}/follow`, { client_id }).catch(() => {});
  }

  /** After a failure that the user saw. */
  retry() {
    this.phase = "loading";
    this.error = null;
    this.#changed();
    return this.#begin();
  }

  /** Fetches lines before the first one. @param {number} [bytes] about so many @returns {Promise<void>} never rejects */
  loadOlder(bytes = PAGE_BYTES) {
    if (!this.hasOlder) return Promise.resolve();
    this.#older ??= this.#fetchOlder(bytes).finally(() => {
      this.#older = null;
      this.isLoadingOlder = false;
      this.#changed();
    });
    return this.#older;
  }

  /** Fetches the log from its beginning, or as much of it as is held at all. @returns {Promise<void>} never rejects */
  async loadAll() {
    while (this.#isRunning && this.hasOlder) {
      const { start, log } = this.lines;
      await this.loadOlder(LARGEST_PAGE_BYTES);
      if (this.lines.log === log && this.lines.start === start) return; // the server refused: `error` says why
    }
  }

  /** @returns {Promise<void>} */
  async #begin() {
    const page = await this.#ask(() => this.#get(`tail=${TAIL_LINES}`));
    if (!page) return this.#beginLater();
    this.lines.begin(page);
    this.phase = "ready";
    this.#changed();
    if (this.#build === 0) await this.#follow();
  }

  /** What is there of an earlier build does not change any more. */
  #beginLater() {
    if (this.phase === "none" && this.#build > 0) return;
    this.#after(this.phase === "none" ? LOOK_FOR_A_LOG_MS : RETRY_MS, "begin", () => this.#begin());
  }

  /**
   * Says that this page looks, and again before that runs out. Learns from the answer whether
   * pieces were missed.
   * @returns {Promise<void>}
   */
  async #follow(isRenewal = false) {
    const client_id = this.#server.clientId;
    if (!client_id) return this.#poll();
    const lease = await this.#ask(() => this.#server.post(`${this.#path}/follow`, { client_id }));
    if (!lease) return this.#after(RETRY_MS, "lease", () => this.#follow());
    this.#after((lease.lease_s * 1000) / RENEWALS, "lease", () => this.#follow(true));
    if (this.#mustPoll) return this.#poll();
    const isBehind = () => lease.log !== this.lines.log || lease.end > this.lines.end;
    if (!isBehind()) return;
    if (!isRenewal) return this.#catchUp();
    this.#after(GRACE_MS, "grace", () => {
      if (!isBehind()) return;
      this.#mustPoll = true;
      this.#poll();
    });
  }

  /** Asks for what is new, now and every second. */
  #poll() {
    this.#after(POLL_MS, "poll", () => this.#poll());
    return this.#catchUp();
  }

  /** @param {LogEvent} piece */
  #heard(piece) {
    if (piece.source.kind !== this.#source.kind || piece.source.id !== this.#source.id) return;
    this.#mustPoll = false;
    this.#stop("poll");
    if (this.phase !== "ready") return; // what is fetched first will have it
    const fit = this.lines.offer(piece);
    if (fit === "added") this.#changed();
    else if (fit !== "known") void this.#catchUp();
  }

  /** Fetches what lies between the last line and the end of the log. Who asks while it is under way is served by it. */
  async #catchUp() {
    if (this.#isFetching) {
      this.#fetchAgain = true;
      return;
    }
    this.#isFetching = true;
    do {
      this.#fetchAgain = false;
      await this.#fetchNewer();
    } while (this.#fetchAgain && this.#isRunning);
    this.#isFetching = false;
  }

  async #fetchNewer() {
    while (this.#isRunning) {
      const { log, end } = this.lines;
      const page = await this.#ask(() => this.#get(`from=${end}&limit=${PAGE_BYTES}`));
      if (!page) return this.#after(RETRY_MS, "lease", () => this.#follow());
      if (this.lines.end !== end || this.lines.log !== log) continue; // a piece came first
      if (page.log !== log || page.size - end > TOO_FAR_BYTES) return this.#begin();
      if (this.lines.offer(page) !== "added") return; // the line at the end is still being written
      this.#changed();
      if (this.lines.end >= page.size) return;
    }
  }

  /** @param {number} bytes */
  async #fetchOlder(bytes) {
    this.isLoadingOlder = true;
    this.#changed();
    const { log, start } = this.lines;
    const older = await this.#ask(() => this.#range(Math.max(0, start - bytes), start));
    if (older && this.lines.log === log) this.lines.offer(older);
  }

  /**
   * The line that holds the byte `from`, and all after it up to `end`. A page has whole lines, one at least, and may have
   * less than was asked for.
   * @param {number} from @param {number} end
   * @returns {Promise<Piece>}
   */
  async #range(from, end) {
    const { log, start, ...first } = await this.#get(`from=${from}&limit=${end - from}`);
    const range = { log, start, end: first.end, text: first.text };
    while (range.end < end) {
      const next = await this.#get(`from=${range.end}&limit=${end - range.end}`);
      if (next.log !== log || next.end === range.end) break;
      range.text += next.text;
      range.end = next.end;
    }
    return range;
  }

  /** @param {string} query @returns {Promise<LogPage>} */
  #get(query) {
    return this.#server.get(`${this.#path}?${this.#build ? `build=${this.#build}&` : ""}${query}`);
  }

  /**
   * @template Answer
   * @param {() => Promise<Answer>} asking
   * @returns {Promise<Answer | null>} null when it failed: `error` and `phase` say so
   */
  async #ask(asking) {
    try {
      const answer = await asking();
      this.error = null;
      return this.#isRunning ? answer : null;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (this.phase !== "ready") this.phase = error.code === NO_LOG ? "none" : "failed";
      this.error = error.code === NO_LOG ? null : error;
      this.#changed();
      return null;
    }
  }

  /** @param {number} delay_ms @param {string} purpose the timer before it for the same is stopped @param {() => unknown} action */
  #after(delay_ms, purpose, action) {
    this.#stop(purpose);
    if (this.#isRunning) this.#timers.set(purpose, setTimeout(() => void action(), delay_ms));
  }

  /** @param {string} purpose */
  #stop(purpose) {
    clearTimeout(this.#timers.get(purpose));
  }
}
