// @ts-check
/**
 * What the panel knows, kept current: everything once, then the server's numbered events; everything again where an event
 * is missing, after a lost connection, and when the server was started anew.
 *
 * One model serves all that shows something on a page; it draws nothing.
 */

import { Polling } from "./polling.js";
import { path, ServerError } from "./server.js";
import {
  emptyState,
  judge,
  withChanges,
  withEnvironment,
  withEnvironments,
  withSequence,
  withStatus,
  withWorkers,
} from "./state.js";

/** @import { Page } from "./polling.js" */
/** @import { Server } from "./server.js" */
/** @import { ChangesEvent, EnvironmentDetail, JobJson, NodesEvent, State } from "./types.js" */

const CHANGES = "comfy-env.changes";
const NODES = "comfy-env.nodes";

const WORKERS_EVERY_MS = 2000;
const RETRY_MS = 2000;
/** From so many environments on, the list of all is the quicker request. */
const MANY = 6;

export class Model {
  /** @type {State} */
  state = emptyState();
  #server;
  /** @type {Set<(state: State) => void>} */
  #listeners = new Set();
  /** @type {(() => void)[]} what ends the listening */
  #offs = [];
  /** @type {Promise<void> | null} the fetching of everything that is under way */
  #refreshing = null;
  /** @type {(ChangesEvent | NodesEvent)[]} events that came while everything was fetched */
  #held = [];
  /** @type {Set<string>} environments to fetch anew */
  #outdated = new Set();
  #isFetchingOutdated = false;
  #workers;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  #isStarted = false;

  /**
   * @param {Server} server
   * @param {Page} [page] while it is hidden, nothing is polled
   */
  constructor(server, page = document) {
    this.#server = server;
    this.#workers = new Polling(() => this.#loadWorkers(), WORKERS_EVERY_MS, page);
  }

  /** @returns {Promise<void>} settled when everything was fetched, or could not be; may be called again */
  start() {
    if (!this.#isStarted) {
      this.#isStarted = true;
      this.#offs = [
        this.#server.on(CHANGES, (event) => this.#take(event)),
        this.#server.on(NODES, (event) => this.#take(event)),
        this.#server.onLost(() => this.#set({ ...this.state, phase: "lost" })),
        this.#server.onReconnect(() => void this.refresh()),
      ];
    }
    return this.refresh();
  }

  stop() {
    this.#isStarted = false;
    for (const off of this.#offs.splice(0)) off();
    clearTimeout(this.#retryTimer);
  }

  /**
   * @param {(state: State) => void} listener called after every change
   * @returns {() => void}
   */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Fetches everything. Who asks while it is under way gets that one.
   * @returns {Promise<void>} never rejects: `state.error` says why it failed; it is tried again until it succeeds
   */
  refresh() {
    this.#refreshing ??= this.#fetchEverything().finally(() => {
      this.#refreshing = null;
      for (const event of this.#held.splice(0)) this.#take(event);
    });
    return this.#refreshing;
  }

  /**
   * Polls the workers while somebody watches and the page is visible: what they use changes all the time.
   * @returns {() => void} ends the watching
   */
  watchWorkers() {
    return this.#workers.watch();
  }

  /**
   * @param {string} id
   * @returns {Promise<EnvironmentDetail | null>} null if there is none
   */
  async loadEnvironment(id) {
    /** @type {EnvironmentDetail | null} */
    let detail = null;
    try {
      detail = await this.#server.get(path`/environments/${id}`);
    } catch (error) {
      if (!(error instanceof ServerError && error.status === 404)) throw error;
    }
    this.#set(withEnvironment(this.state, id, detail));
    return detail;
  }

  /**
   * @param {boolean} fresh measures anew, which may take seconds; else the last measurement, if there is one
   */
  async loadDisk(fresh = false) {
    const disk = await this.#server.get(`/disk?fresh=${fresh}`);
    this.#set({ ...this.state, disk });
    return this.state.disk;
  }

  async loadSettings() {
    const settings = await this.#server.get("/settings");
    this.#set({ ...this.state, settings });
  }

  /** @param {Record<string, unknown>} changes by name; null for the default */
  async changeSettings(changes) {
    const settings = await this.#server.post("/settings", changes);
    this.#set({ ...this.state, settings });
  }

  async loadPrerequisites() {
    const prerequisites = await this.#server.get("/prerequisites");
    this.#set({ ...this.state, prerequisites });
  }

  /**
   * @param {{ job: JobJson }} accepted what the server answered to something that takes longer than an answer
   * @returns {Promise<any>} the job's result; rejects with a ServerError in the words of a job that failed
   */
  async finish({ job: { id } }) {
    const { run } = this.state.status;
    const isOver = () => this.state.status.run !== run || (this.state.jobs.get(id)?.state ?? "running") !== "running";
    await this.#until(isOver);
    const { result = null, error = null } = this.state.jobs.get(id) ?? {};
    if (error) throw new ServerError({ status: 200, code: error.cause, message: error.message, remedy: error.remedy });
    return result;
  }

  /** @param {() => boolean} isSo */
  async #until(isSo) {
    if (isSo()) return;
    /** @type {() => void} */
    let off = () => {};
    await new Promise((resolve) => (off = this.subscribe(() => void (isSo() && resolve(null)))));
    off();
  }

  /** @param {State} state */
  #set(state) {
    this.state = state;
    for (const listener of [...this.#listeners]) listener(state);
  }

  async #fetchEverything() {
    clearTimeout(this.#retryTimer);
    try {
      const [status, { environments }, { packs }] = await Promise.all([
        this.#server.get("/status"),
        this.#server.get("/environments"),
        this.#server.get("/packs"),
      ]);
      const isOtherRun = this.state.status.run !== status.run;
      this.#set({ ...withEnvironments(withStatus(this.state, status, now_s()), environments), packs });
      if (isOtherRun) this.#renewWhatWasAskedFor();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** What was looked at before the server was started anew. */
  #renewWhatWasAskedFor() {
    this.#outdate([...this.state.details.keys()]);
    if (this.state.settings) this.loadSettings().catch((error) => this.#failed(error));
    if (this.state.disk) this.loadDisk().catch((error) => this.#failed(error));
    if (this.state.prerequisites) this.loadPrerequisites().catch((error) => this.#failed(error));
  }

  /** @param {unknown} error */
  #failed(error) {
    if (!(error instanceof ServerError)) throw error;
    this.#set({ ...this.state, phase: error.code === "unreachable" ? "lost" : this.state.phase, error });
    if (this.#isStarted) {
      clearTimeout(this.#retryTimer);
      this.#retryTimer = setTimeout(() => void this.refresh(), RETRY_MS);
    }
  }

  /** @param {ChangesEvent | NodesEvent} event */
  #take(event) {
    if (this.#refreshing) return void this.#held.push(event);
    const verdict = judge(this.state, event);
    if (verdict === "missed") {
      this.#held.push(event);
      void this.refresh();
    } else if (verdict === "apply") {
      "builds" in event ? this.#apply(event) : this.#set(withSequence(this.state, event));
    }
  }

  /** @param {ChangesEvent} event */
  #apply(event) {
    this.#set(withChanges(this.state, event, now_s()));
    this.#outdate(event.environments);
    if (event.packs.length) this.#loadPacks().catch((error) => this.#failed(error));
    if (event.packs.length && this.state.prerequisites) this.loadPrerequisites().catch((error) => this.#failed(error));
    if (event.settings && this.state.settings) this.loadSettings().catch((error) => this.#failed(error));
  }

  async #loadPacks() {
    const { packs } = await this.#server.get("/packs");
    this.#set({ ...this.state, packs });
  }

  /** @param {string[]} ids */
  #outdate(ids) {
    for (const id of ids) this.#outdated.add(id);
    if (!this.#isFetchingOutdated) this.#fetchOutdated().catch((error) => this.#failed(error));
  }

  /** One request at a time: a build says many times a second that it went on. */
  async #fetchOutdated() {
    this.#isFetchingOutdated = true;
    try {
      while (this.#outdated.size > 0) {
        const ids = [...this.#outdated];
        this.#outdated.clear();
        const looked = ids.filter((id) => this.state.details.has(id));
        if (ids.length - looked.length >= MANY) await this.#loadEnvironments();
        for (const id of ids.length - looked.length >= MANY ? looked : ids) await this.loadEnvironment(id);
      }
    } finally {
      this.#isFetchingOutdated = false;
    }
  }

  async #loadEnvironments() {
    const { environments } = await this.#server.get("/environments");
    this.#set(withEnvironments(this.state, environments));
  }

  async #loadWorkers() {
    try {
      const { workers } = await this.#server.get("/workers");
      this.#set(withWorkers(this.state, workers, now_s()));
    } catch (error) {
      this.#failed(error);
    }
  }
}

/** Of this page's clock, which never goes back. */
export function now_s() {
  return performance.now() / 1000;
}
