import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, suite, test } from "node:test";

import { LogFeed } from "../../web/log/feed.js";
import { ServerError } from "../../web/server.js";

const SOURCE = { kind: "worker", id: "pack/nodes" };
const PATH = "/workers/pack%2Fnodes/log";
const LEASE_S = 30;
const MOST_PAGE_BYTES = 1024 * 1024;

/** A server with one log, whose answers come at once. Plain ASCII: a letter is a byte. */
class FakeServer {
  clientId = "page-1";
  text = "";
  log = "log-1";
  /** @type {string[]} */
  asked = [];
  /** @type {ServerError | null} */
  refusal = null;
  most = Infinity;
  #listeners = new Map();

  async get(address) {
    this.#note("GET", address);
    const query = new URLSearchParams(address.split("?")[1]);
    if (query.has("tail")) return this.page(this.#startOfTail(Number(query.get("tail"))), Infinity);
    const limit = Number(query.get("limit"));
    assert.ok(limit >= 1 && limit <= MOST_PAGE_BYTES, `the server refuses a limit of ${limit}`);
    return this.page(Number(query.get("from")), limit);
  }

  async post(address, body) {
    this.#note("POST", address);
    assert.deepEqual(body, { client_id: this.clientId });
    return { log: this.log, end: this.text.lastIndexOf("\n") + 1, lease_s: LEASE_S };
  }

  async delete(address) {
    this.#note("DELETE", address);
    return {};
  }

  on(event, listener) {
    this.#listeners.set(event, listener);
    return () => this.#listeners.delete(event);
  }

  onReconnect(listener) {
    return this.on("reconnected", listener);
  }

  /** Whole lines, at least one. */
  page(offset, limit) {
    const whole = this.text.slice(0, this.text.lastIndexOf("\n") + 1);
    const start = Math.min(offset && whole.lastIndexOf("\n", offset - 1) + 1, whole.length);
    const stop = Math.min(whole.length, offset + Math.min(limit, this.most));
    const lastEnd = whole.lastIndexOf("\n", stop - 1) + 1;
    const end = Math.max(start, lastEnd > offset ? lastEnd : whole.indexOf("\n", offset) + 1);
    return { log: this.log, start, end, size: this.text.length, text: whole.slice(start, end) };
  }

  write(text, { isTold = true } = {}) {
    const start = this.text.length;
    this.text += text;
    if (isTold) this.tell({ source: SOURCE, log: this.log, start, end: this.text.length, text });
  }

  tell(detail, event = "comfy-env.log") {
    this.#listeners.get(event)?.(detail);
  }

  count(method) {
    return this.asked.filter((one) => one.startsWith(method)).length;
  }

  #note(method, address) {
    this.asked.push(`${method} ${address}`);
    if (this.refusal) throw this.refusal;
  }

  #startOfTail(lines) {
    return this.text.split("\n").slice(0, -1 - lines).join("\n").length + (this.text.split("\n").length > lines + 1 ? 1 : 0);
  }
}

/** Lets promises that are settled be heard. */
async function settle() {
  for (let turn = 0; turn < 50; turn += 1) await null;
}

async function pass(seconds) {
  for (let passed = 0; passed < seconds * 1000; passed += 250) {
    mock.timers.tick(250);
    await settle();
  }
}

let server;
let feed;

function open() {
  feed = new LogFeed({ server, source: SOURCE, changed: () => {} });
  feed.resume();
  return settle();
}

function shown() {
  return feed.lines.slice();
}

suite("the feed of a log", () => {
  beforeEach(() => {
    mock.timers.enable({ apis: ["setTimeout"] });
    server = new FakeServer();
    server.text = "one\ntwo\n";
  });
  afterEach(() => {
    feed.pause();
    mock.timers.reset();
  });

  test("shows the newest lines, then what is written", async () => {
    await open();
    assert.deepEqual(shown(), ["one", "two"]);

    server.write("three\n");

    assert.deepEqual(shown(), ["one", "two", "three"]);
    assert.deepEqual(server.asked, [`GET ${PATH}?tail=2000`, `POST ${PATH}/follow`]);
  });

  test("lines that were written between the first page and following are fetched", async () => {
    const post = server.post;
    server.post = async (...request) => {
      if (server.text === "one\ntwo\n") server.write("between\n", { isTold: false });
      return post.apply(server, request);
    };

    await open();

    assert.deepEqual(shown(), ["one", "two", "between"]);
  });

  test("a piece that got lost is fetched, and nothing is shown twice", async () => {
    await open();
    server.write("lost\n", { isTold: false });
    server.write("four\n");
    await settle();

    assert.deepEqual(shown(), ["one", "two", "lost", "four"]);
    server.write("five\n");
    assert.deepEqual(shown(), ["one", "two", "lost", "four", "five"]);
  });

  test("pieces that come while a gap is fetched are not lost", async () => {
    await open();
    server.write("lost\n", { isTold: false });
    server.write("four\n");
    server.write("five\n");
    await settle();

    assert.deepEqual(shown(), ["one", "two", "lost", "four", "five"]);
  });

  test("a log's pieces are not another one's", async () => {
    await open();

    server.tell({ source: { kind: "worker", id: "other" }, log: "log-1", start: 8, end: 12, text: "no!\n" });
    server.tell({ source: { kind: "environment", id: SOURCE.id }, log: "log-1", start: 8, end: 12, text: "no!\n" });

    assert.deepEqual(shown(), ["one", "two"]);
  });

  test("when another log takes its place, that one is shown from its own lines", async () => {
    await open();
    server.log = "log-2";
    server.text = "";
    server.write("anew\n");
    await settle();

    assert.deepEqual(shown(), ["anew"]);
    server.write("more\n");
    assert.deepEqual(shown(), ["anew", "more"]);
  });

  test("the lease is renewed before it ends, and finds pieces that were lost in silence", async () => {
    await open();
    await pass(LEASE_S);
    assert.ok(server.count("POST") >= 3);

    server.write("lost\n", { isTold: false });
    await pass(LEASE_S / 2);

    assert.deepEqual(shown(), ["one", "two", "lost"]);
  });

  test("where no piece ever comes by itself, the end is asked for every second until one does", async () => {
    await open();
    server.write("unheard\n", { isTold: false });
    await pass(LEASE_S / 2);
    const asked = server.count("GET");

    server.write("unheard too\n", { isTold: false });
    await pass(3);
    assert.deepEqual(shown(), ["one", "two", "unheard", "unheard too"]);
    assert.ok(server.count("GET") >= asked + 2);

    server.write("heard\n");
    const before = server.count("GET");
    await pass(5);
    assert.equal(server.count("GET"), before);
    assert.equal(shown().at(-1), "heard");
  });

  test("a page without a websocket asks for the end every second", async () => {
    server.clientId = null;
    await open();
    server.write("polled\n", { isTold: false });

    await pass(2);

    assert.deepEqual(shown(), ["one", "two", "polled"]);
    assert.equal(server.count("POST"), 0);
  });

  test("after a lost connection it follows anew and fetches what it missed", async () => {
    await open();
    server.write("missed\n", { isTold: false });

    server.tell(undefined, "reconnected");
    await settle();

    assert.deepEqual(shown(), ["one", "two", "missed"]);
    assert.equal(server.count("POST"), 2);
  });

  test("paused, it asks nothing, takes nothing and says that it left", async () => {
    await open();
    feed.pause();
    const asked = server.asked.length;
    assert.equal(server.asked.at(-1), `DELETE ${PATH}/follow`);

    server.write("meanwhile\n");
    await pass(120);
    assert.equal(server.asked.length, asked);
    assert.deepEqual(shown(), ["one", "two"]);

    feed.resume();
    await settle();
    assert.deepEqual(shown(), ["one", "two", "meanwhile"]);
  });

  test("a log that is not there yet is looked for until it is", async () => {
    server.refusal = new ServerError({ status: 404, code: "no_log", message: "Nothing was written yet.", remedy: "" });
    await open();
    assert.equal(feed.phase, "none");
    assert.equal(feed.error, null);

    server.refusal = null;
    await pass(3);

    assert.equal(feed.phase, "ready");
    assert.deepEqual(shown(), ["one", "two"]);
  });

  test("a refusal is kept in the server's words, and trying again helps when it has passed", async () => {
    server.refusal = new ServerError({ status: 404, code: "unknown_site", message: "There is no site.", remedy: "Look." });
    await open();
    assert.equal(feed.phase, "failed");
    assert.equal(feed.error.message, "There is no site.");

    server.refusal = null;
    await feed.retry();

    assert.equal(feed.phase, "ready");
    assert.equal(feed.error, null);
  });

  test("lines stay while the server is away, and go on when it is back", async () => {
    await open();
    server.refusal = new ServerError({ status: 0, code: "unreachable", message: "away", remedy: "" });
    await pass(LEASE_S);
    assert.deepEqual(shown(), ["one", "two"]);
    assert.equal(feed.error.code, "unreachable");

    server.refusal = null;
    server.write("back\n", { isTold: false });
    await pass(5);

    assert.deepEqual(shown(), ["one", "two", "back"]);
    assert.equal(feed.error, null);
  });

  test("older lines are fetched page by page up to the first, also where the server gives less than asked for", async () => {
    const lines = Array.from({ length: 60_000 }, (_, index) => `line ${index} of many`);
    server.text = lines.join("\n") + "\n";
    server.most = 50_000;
    await open();
    assert.equal(shown().length, 2000);
    assert.ok(feed.hasOlder);

    await feed.loadOlder();
    assert.ok(shown().length > 10_000);
    await feed.loadAll();

    assert.deepEqual(shown(), lines);
    assert.ok(!feed.hasOlder);
  });

  test("a line that is longer than a page is fetched all the same", async () => {
    const long = "x".repeat(700_000);
    server.text = `first\n${long}\n` + "end\n".repeat(2000);
    await open();

    await feed.loadAll();

    assert.deepEqual(shown().slice(0, 3), ["first", long, "end"]);
    server.write(long + "\n", { isTold: false });
    server.tell(undefined, "reconnected");
    await settle();
    assert.equal(shown().at(-1), long);
  });

  test("fetching all of it ends when the server refuses", async () => {
    server.text = "line\n".repeat(300_000);
    await open();
    server.refusal = new ServerError({ status: 500, code: "internal", message: "no", remedy: "" });

    await feed.loadAll();

    assert.equal(feed.error.code, "internal");
    assert.equal(shown().length, 2000);
  });

  test("the log of an earlier build is read once, and neither followed nor asked for again", async () => {
    feed = new LogFeed({ server, source: SOURCE, build: 1, changed: () => {} });
    feed.resume();
    await settle();
    server.write("of the build that runs now\n");
    await pass(60);
    feed.pause();
    feed.resume();
    await settle();

    assert.deepEqual(shown(), ["one", "two"]);
    assert.deepEqual(server.asked, [`GET ${PATH}?build=1&tail=2000`]);
  });

  test("an earlier build that left no log is not looked for again", async () => {
    server.refusal = new ServerError({ status: 404, code: "no_log", message: "Nothing was written yet.", remedy: "" });
    feed = new LogFeed({ server, source: SOURCE, build: 2, changed: () => {} });
    feed.resume();
    await pass(60);

    assert.equal(feed.phase, "none");
    assert.equal(server.asked.length, 1);
  });

  test("a log that went on for hours unseen begins again with its newest lines", async () => {
    await open();
    feed.pause();
    server.text += "x".repeat(99).concat("\n").repeat(200_000);

    feed.resume();
    await settle();

    assert.equal(shown().length, 2000);
    assert.ok(feed.hasOlder);
  });
});
