// @ts-check
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, suite, test } from "node:test";

import { comfyuiTransport, ownTransport } from "../../web/transports.js";
import { FakeSocket, json } from "./fakes.js";

suite("the connection of the page that stands alone", () => {
  beforeEach(() => {
    FakeSocket.opened = [];
    mock.timers.enable({ apis: ["setTimeout"] });
  });

  afterEach(() => mock.timers.reset());

  /** @param {string} [base] */
  function connect(base = "http://localhost:8188/") {
    return ownTransport({
      base: new URL(base),
      open: (url) => /** @type {any} */ (new FakeSocket(url)),
      request: async () => json({}),
    });
  }

  test("names itself at the websocket below the same address", () => {
    const transport = connect("https://example.org/comfy/");
    assert.equal(FakeSocket.opened[0].url, `wss://example.org/comfy/ws?clientId=${transport.clientId()}`);
    assert.equal(transport.url("/comfy-env/status"), "https://example.org/comfy/comfy-env/status");
  });

  test("passes on events by their name, until the listener is taken away", () => {
    const transport = connect();
    /** @type {unknown[]} */
    const heard = [];
    const off = transport.on("comfy-env.changes", (detail) => heard.push(detail));
    FakeSocket.opened[0].receive("comfy-env.changes", 1);
    FakeSocket.opened[0].receive("progress", 2);
    FakeSocket.opened[0].onmessage({ data: new ArrayBuffer(8) });
    off();
    FakeSocket.opened[0].receive("comfy-env.changes", 3);
    assert.deepEqual(heard, [1]);
  });

  test("comes back after it was lost, waiting longer each time, and says both once", () => {
    const transport = connect();
    /** @type {string[]} */
    const told = [];
    transport.onLost(() => told.push("lost"));
    transport.onReconnect(() => told.push("reconnected"));
    FakeSocket.opened[0].onopen();
    FakeSocket.opened[0].onclose();
    mock.timers.tick(300);
    assert.equal(FakeSocket.opened.length, 2);
    FakeSocket.opened[1].onclose();
    mock.timers.tick(300);
    assert.equal(FakeSocket.opened.length, 2, "the second wait is longer");
    mock.timers.tick(300);
    assert.equal(FakeSocket.opened.length, 3);
    FakeSocket.opened[2].onopen();
    assert.deepEqual(told, ["lost", "reconnected"]);
  });

  test("stays closed once it was closed", () => {
    const transport = connect();
    transport.close();
    mock.timers.tick(60_000);
    assert.equal(FakeSocket.opened.length, 1);
  });
});

suite("the connection of ComfyUI's page", () => {
  /** What of ComfyUI's `api` is used. */
  class FakeApi extends EventTarget {
    clientId = "page";
    /** @type {string[]} */
    asked = [];

    /** @param {string} path */
    fetchApi(path) {
      this.asked.push(path);
      return Promise.resolve(json({}));
    }

    /** @param {string} path */
    apiURL(path) {
      return `/base/api${path}`;
    }
  }

  test("asks, links and is named as the page is", async () => {
    const api = new FakeApi();
    const transport = comfyuiTransport(api);
    await transport.fetch("/comfy-env/status", {});
    assert.deepEqual(api.asked, ["/comfy-env/status"]);
    assert.equal(transport.url("/comfy-env/support-bundle"), "/base/api/comfy-env/support-bundle");
    assert.equal(transport.clientId(), "page");
  });

  test("passes on what ComfyUI hears, until the listener is taken away", () => {
    const api = new FakeApi();
    const transport = comfyuiTransport(api);
    /** @type {unknown[]} */
    const heard = [];
    const offs = [
      transport.on("comfy-env.changes", (detail) => heard.push(detail)),
      transport.onLost(() => heard.push("lost")),
      transport.onReconnect(() => heard.push("back")),
    ];
    const events = [new CustomEvent("comfy-env.changes", { detail: 1 }), new Event("reconnecting"), new Event("reconnected")];
    for (const event of events) api.dispatchEvent(event);
    for (const off of offs) off();
    for (const event of events) api.dispatchEvent(event);
    assert.deepEqual(heard, [1, "lost", "back"]);
  });
});
