import assert from "node:assert/strict";
import { test } from "node:test";

import { ICON, ICON_BUSY, tabIcon } from "../../web/comfyui/tab_icon.js";
import { emptyState } from "../../web/state.js";

const stateOf = ({ builds = [], sites = [] }) => ({
  ...emptyState(),
  builds: new Map(builds.map((state, id) => [String(id), { state }])),
  sites: new Map(sites.map((state, id) => [String(id), { state }])),
});

test("nothing to tell is no badge", () => {
  assert.deepEqual(tabIcon(stateOf({ builds: ["done"], sites: ["ready", "unbuilt", "stale"] }), false), { icon: ICON, badge: null });
});

test("builds under way are counted, waiting ones among them", () => {
  const state = stateOf({ builds: ["queued", "building", "verifying", "done", "failed"], sites: ["building", "failed"] });
  assert.deepEqual(tabIcon(state, true), { icon: ICON_BUSY, badge: "3" });
});

test("what failed asks to be looked at", () => {
  assert.deepEqual(tabIcon(stateOf({ sites: ["ready", "failed"] }), false), { icon: ICON, badge: "!" });
});

test("a node that failed asks to be looked at, though all packs are ready", () => {
  assert.deepEqual(tabIcon(stateOf({ sites: ["ready"] }), true), { icon: ICON, badge: "!" });
});
