// @ts-check
import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { path, Server, ServerError } from "../../web/server.js";
import { FakeTransport, json } from "./fakes.js";

/** @param {() => Promise<Response>} answer */
function serverThat(answer) {
  const transport = new FakeTransport({});
  transport.fetch = answer;
  return new Server(transport);
}

/** @param {Promise<unknown>} asking @returns {Promise<ServerError>} */
async function refusalOf(asking) {
  const error = await asking.then(() => null, (error) => error);
  assert.ok(error instanceof ServerError, `${error} is no ServerError`);
  return error;
}

suite("a request that does not succeed", () => {
  test("is told in the server's own words", async () => {
    const error = { code: "busy", message: "It is being built.", remedy: "Wait for it." };
    const { status, code, message, remedy } = await refusalOf(serverThat(async () => json({ error }, 409)).post("/build"));
    assert.deepEqual({ status, code, message, remedy }, { status: 409, ...error });
  });

  test("says that nobody answered", async () => {
    const asking = serverThat(() => Promise.reject(new TypeError("Failed to fetch"))).get("/status");
    const { status, code, message } = await refusalOf(asking);
    assert.deepEqual([status, code], [0, "unreachable"]);
    assert.match(message, /Failed to fetch/);
  });

  test("is not taken for an answer of ours when something between answers in HTML", async () => {
    const page = new Response("<h1>Bad gateway</h1>", { status: 502, headers: { "Content-Type": "text/html" } });
    const { status, code, message } = await refusalOf(serverThat(async () => page).get("/status"));
    assert.deepEqual([status, code], [502, "unreadable"]);
    assert.match(message, /502/);
  });

  test("is one too when the answer is said to be JSON and is not", async () => {
    const half = new Response('{"run": ', { headers: { "Content-Type": "application/json" } });
    assert.equal((await refusalOf(serverThat(async () => half).get("/status"))).code, "unreadable");
  });

  test("stays an AbortError when the page itself gave it up", async () => {
    const aborting = new AbortController();
    aborting.abort();
    const asking = serverThat(() => Promise.reject(aborting.signal.reason)).get("/status", { signal: aborting.signal });
    await assert.rejects(asking, { name: "AbortError" });
  });
});

suite("a request", () => {
  test("that changes something is JSON with a body", async () => {
    /** @type {RequestInit | undefined} */
    let sent;
    const transport = new FakeTransport({});
    transport.fetch = async (_, init) => ((sent = init), json({}));
    await new Server(transport).delete("/environments/1");
    assert.equal(sent?.method, "DELETE");
    assert.deepEqual(sent?.headers, { "Content-Type": "application/json" });
    assert.equal(sent?.body, "{}");
  });

  test("that asks is never answered from a cache", async () => {
    /** @type {RequestInit | undefined} */
    let sent;
    const transport = new FakeTransport({});
    transport.fetch = async (_, init) => ((sent = init), json({}));
    await new Server(transport).get("/status");
    assert.equal(sent?.cache, "no-store");
  });

  test("for a text gives text", async () => {
    const toml = () => Promise.resolve(new Response("a = 1", { headers: { "Content-Type": "text/plain; charset=utf-8" } }));
    assert.equal(await serverThat(toml).get("/sites/mesh/manifest"), "a = 1");
  });

  test("keeps the slashes of an id inside its segment", () => {
    assert.equal(path`/workers/${"geometry/nodes/mesh"}/log`, "/workers/geometry%2Fnodes%2Fmesh/log");
    assert.equal(path`/packs/${"../status?x#y"}`, "/packs/..%2Fstatus%3Fx%23y");
  });
});
