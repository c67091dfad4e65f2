// @ts-check
import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { emptyState, judge, SAMPLES_KEPT, withChanges, withEnvironments, withStatus, withWorkers } from "../../web/state.js";
import { build, changes, environment, site, status, worker } from "./samples.js";

const known = withStatus(emptyState(), status({ sequence: 3, sites: [site()] }), 0);

suite("an event", () => {
  for (const [run, sequence, verdict] of /** @type {const} */ ([
    ["run-1", 4, "apply"],
    ["run-1", 3, "old"],
    ["run-1", 1, "old"],
    ["run-1", 5, "missed"],
    ["run-2", 4, "missed"],
  ])) {
    test(`${sequence} of ${run} after 3 of run-1: ${verdict}`, () => assert.equal(judge(known, { run, sequence }), verdict));
  }

  test("changes nothing of the state that it was applied to", () => {
    const before = structuredClone(known);
    withChanges(known, changes({ sequence: 4, sites: [site({ state: "failed" })], builds: [build()] }), 1);
    assert.deepEqual(known, before);
  });

  test("leaves what it does not name the same object", () => {
    const after = withChanges(known, changes({ sequence: 4, builds: [build()] }), 1);
    assert.equal(after.sites, known.sites);
    assert.notEqual(after.builds, known.builds);
  });

  test("with a newer build of an environment takes the place of the older one", () => {
    const first = withChanges(known, changes({ sequence: 4, builds: [build({ id: "old", state: "failed" })] }), 1);
    const second = withChanges(first, changes({ sequence: 5, builds: [build({ id: "new" })] }), 2);
    assert.deepEqual([...second.builds.keys()], ["new"]);
    assert.equal(second.builds.get("new")?.received_at, 2);
  });
});

suite("samples of workers", () => {
  test("are the last ones, the oldest first", () => {
    let state = known;
    for (let now = 0; now < SAMPLES_KEPT + 5; now++) state = withWorkers(state, [worker({ rss_bytes: now })], now);
    const samples = state.samples.get("mesh") ?? [];
    assert.equal(samples.length, SAMPLES_KEPT);
    assert.deepEqual([samples[0].at, samples.at(-1)?.rss_bytes], [5, SAMPLES_KEPT + 4]);
  });

  test("of a worker that is gone are gone, and all of them with another run of the server", () => {
    const watched = withWorkers(known, [worker()], 0);
    assert.equal(withWorkers(watched, [], 1).samples.size, 0);
    assert.equal(withStatus(watched, status(), 1).samples.size, 1);
    assert.equal(withStatus(watched, status({ run: "run-2" }), 1).samples.size, 0);
  });
});

test("details of an environment that is gone are forgotten", () => {
  const detail = environment();
  const looked = { ...known, details: new Map([[detail.id, detail]]) };
  assert.equal(withEnvironments(looked, [detail]).details.size, 1);
  assert.equal(withEnvironments(looked, []).details.size, 0);
});
