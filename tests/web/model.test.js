// @ts-check
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, suite, test } from "node:test";

import { Model } from "../../web/model.js";
import { Server } from "../../web/server.js";
import { FakePage, FakeTransport } from "./fakes.js";
import { build, changes, environment, pack, site, status, worker } from "./samples.js";

/** Lets everything run that waits for nothing but promises. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** @param {Record<string, unknown>} [answers] */
async function started(answers = {}) {
  const transport = new FakeTransport({
    "/status": status({ sites: [site()] }),
    "/environments": { environments: [environment()] },
    "/packs": { packs: [pack()] },
    ...answers,
  });
  const page = new FakePage();
  const model = new Model(new Server(transport), page);
  await model.start();
  return { model, transport, page };
}

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

suite("starting", () => {
  test("fetches everything at once, and tells", async () => {
    const { model, transport } = await started();
    assert.equal(model.state.phase, "ready");
    assert.equal(model.state.sites.get("mesh")?.state, "ready");
    assert.equal(model.state.environments.get("environment-of-mesh")?.python, "3.11.9");
    assert.deepEqual(transport.requests, ["GET /comfy-env/status", "GET /comfy-env/environments", "GET /comfy-env/packs"]);
  });

  test("without a server is tried again until there is one", async () => {
    const { model, transport } = await started({ "/status": new TypeError("refused") });
    assert.equal(model.state.phase, "lost");
    assert.equal(model.state.error?.code, "unreachable");
    transport.answers["/status"] = status();
    mock.timers.tick(2000);
    await settled();
    assert.equal(model.state.phase, "ready");
    assert.equal(model.state.error, null);
  });

  test("that the server refuses says why", async () => {
    const { model } = await started({ "/packs": undefined });
    assert.equal(model.state.error?.message, "There is nothing at /comfy-env/packs.");
    assert.equal(model.state.phase, "loading");
  });
});

suite("events", () => {
  test("in order are taken up without asking anything", async () => {
    const { model, transport } = await started();
    transport.send("comfy-env.changes", changes({ sequence: 1, sites: [site({ state: "building" })] }));
    transport.send("comfy-env.nodes", { run: "run-1", sequence: 2, packs: [], nodes: [], scripts: [] });
    transport.send("comfy-env.changes", changes({ sequence: 3, builds: [build({ packages_total: 4 })] }));
    assert.equal(model.state.sites.get("mesh")?.state, "building");
    assert.equal(model.state.builds.get("build-1")?.packages_total, 4);
    assert.equal(transport.requests.length, 3);
  });

  test("after a gap are one fetching of everything, however many come", async () => {
    const { model, transport } = await started();
    transport.answers["/status"] = status({ sequence: 7, sites: [site({ state: "failed" })] });
    for (const sequence of [5, 6, 7]) transport.send("comfy-env.changes", changes({ sequence }));
    await settled();
    assert.equal(transport.count("/status"), 2);
    assert.equal(model.state.sites.get("mesh")?.state, "failed");
    assert.equal(model.state.status.sequence, 7);
  });

  test("that come while everything is fetched are taken up after it, unless it holds them already", async () => {
    const { model, transport } = await started();
    let open = () => {};
    transport.gate = new Promise((resolve) => (open = () => resolve()));
    transport.answers["/status"] = status({ sequence: 4 });
    const refreshing = model.refresh();
    transport.send("comfy-env.changes", changes({ sequence: 4, sites: [site({ state: "failed" })] }));
    transport.send("comfy-env.changes", changes({ sequence: 5, sites: [site({ pack: "later" })] }));
    open();
    await refreshing;
    await settled();
    assert.deepEqual([...model.state.sites.keys()], ["later"]);
    assert.equal(model.state.status.sequence, 5);
    assert.equal(transport.count("/status"), 2);
  });

  test("of another run of the server are a fetching of everything", async () => {
    const { model, transport } = await started();
    transport.answers["/status"] = status({ run: "run-2", sequence: 1 });
    transport.send("comfy-env.changes", changes({ run: "run-2", sequence: 1 }));
    await settled();
    assert.equal(model.state.status.run, "run-2");
  });

  test("that name an environment have it fetched, in one request at a time", async () => {
    const { model, transport } = await started({ "/environments/environment-of-mesh": environment({ generation: 2 }) });
    for (const sequence of [1, 2, 3]) {
      transport.send("comfy-env.changes", changes({ sequence, environments: ["environment-of-mesh"] }));
    }
    await settled();
    await settled();
    assert.equal(model.state.environments.get("environment-of-mesh")?.generation, 2);
    assert.equal(transport.count("/environments/environment-of-mesh"), 2, "the first, and one for all that came meanwhile");
  });

  test("that name an environment which is gone take it away", async () => {
    const { model, transport } = await started();
    transport.send("comfy-env.changes", changes({ environments: ["environment-of-mesh"] }));
    await settled();
    await settled();
    assert.equal(model.state.environments.size, 0);
  });

  test("that name many environments have the list fetched", async () => {
    const { transport } = await started();
    const ids = Array.from({ length: 40 }, (_, at) => `environment-${at}`);
    transport.send("comfy-env.changes", changes({ environments: ids }));
    await settled();
    await settled();
    assert.equal(transport.count("/environments"), 2);
    assert.equal(transport.requests.length, 4);
  });

  test("that name a pack have the packs fetched", async () => {
    const { model, transport } = await started();
    transport.answers["/packs"] = { packs: [pack(), pack({ name: "other" })] };
    transport.send("comfy-env.changes", changes({ packs: ["other"] }));
    await settled();
    assert.deepEqual(model.state.packs.map(({ name }) => name), ["mesh", "other"]);
  });

  test("are not listened to after the end", async () => {
    const { model, transport } = await started();
    model.stop();
    transport.send("comfy-env.changes", changes({ sites: [site({ state: "failed" })] }));
    assert.equal(model.state.sites.get("mesh")?.state, "ready");
  });
});

suite("something that takes longer than an answer", () => {
  /** @type {import("../../web/types.js").JobJson} */
  const job = { id: "job-1", kind: "delete", target: "", state: "running", text: "", percent: null, started_at: 0, elapsed_s: 0, result: null, error: null };

  test("is finished when its job is, with the job's result", async () => {
    const { model, transport } = await started();
    const finishing = model.finish({ job });
    transport.send("comfy-env.changes", changes({ sequence: 1, jobs: [{ ...job, text: "half" }] }));
    transport.send("comfy-env.changes", changes({ sequence: 2, jobs: [{ ...job, state: "done", result: { left: [] } }] }));
    assert.deepEqual(await finishing, { left: [] });
  });

  test("fails in the words of its job, also if that ended before the answer came", async () => {
    const { model, transport } = await started();
    const error = { cause: "disk", message: "It is on fire.", remedy: "Put it out." };
    transport.send("comfy-env.changes", changes({ jobs: [{ ...job, state: "failed", error }] }));
    await assert.rejects(model.finish({ job }), { code: "disk", message: "It is on fire.", remedy: "Put it out." });
  });

  test("is not waited for when the server was started anew", async () => {
    const { model, transport } = await started();
    const finishing = model.finish({ job });
    transport.answers["/status"] = status({ run: "run-2" });
    transport.send("reconnected");
    assert.equal(await finishing, null);
  });
});

suite("a lost connection", () => {
  test("is shown, and everything is fetched when it is back", async () => {
    const { model, transport } = await started();
    transport.send("lost");
    assert.equal(model.state.phase, "lost");
    assert.equal(model.state.sites.size, 1, "what was known stays to be seen");
    transport.answers["/status"] = status({ run: "run-2", sites: [site(), site({ pack: "other" })] });
    transport.send("reconnected");
    await settled();
    assert.equal(model.state.phase, "ready");
    assert.equal(model.state.sites.size, 2);
  });

  test("to a server that was started anew renews what had been looked at", async () => {
    const { model, transport } = await started({
      "/settings": { file: "a", settings: [] },
      "/environments/environment-of-mesh": environment(),
    });
    await model.loadSettings();
    await model.loadEnvironment("environment-of-mesh");
    transport.answers["/status"] = status({ run: "run-2" });
    transport.answers["/settings"] = { file: "b", settings: [] };
    transport.answers["/environments/environment-of-mesh"] = environment({ generation: 9 });
    transport.send("reconnected");
    await settled();
    await settled();
    assert.equal(model.state.settings?.file, "b");
    assert.equal(model.state.details.get("environment-of-mesh")?.generation, 9);
  });
});

suite("the workers", () => {
  test("are polled while somebody watches, and not longer", async () => {
    const { model, transport } = await started({ "/workers": { workers: [worker({ cpu_percent: 5 })] } });
    const [first, second] = [model.watchWorkers(), model.watchWorkers()];
    mock.timers.tick(0);
    await settled();
    assert.equal(transport.count("/workers"), 1, "two who watch are one polling");
    first();
    first();
    mock.timers.tick(2000);
    await settled();
    assert.equal(transport.count("/workers"), 2);
    assert.deepEqual(model.state.samples.get("mesh")?.map(({ cpu_percent }) => cpu_percent), [5, 5]);
    second();
    mock.timers.tick(10_000);
    await settled();
    assert.equal(transport.count("/workers"), 2);
  });

  test("are not polled in a page that nobody sees, and at once when it is seen again", async () => {
    const { model, transport, page } = await started({ "/workers": { workers: [] } });
    page.become("hidden");
    model.watchWorkers();
    mock.timers.tick(10_000);
    await settled();
    assert.equal(transport.count("/workers"), 0);
    page.become("visible");
    mock.timers.tick(0);
    await settled();
    assert.equal(transport.count("/workers"), 1);
  });
});
