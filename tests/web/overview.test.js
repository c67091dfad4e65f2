// @ts-check
import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { announcement, cards, elapsedS, environmentsOf, groupOf, matches, totals } from "../../web/overview.js";
import { emptyState, withStatus } from "../../web/state.js";
import { translator } from "../../web/strings.js";
import { build, pack, site, status } from "./samples.js";

/** @import { PackJson, SiteJson, StatusJson } from "../../web/types.js" */

const t = translator("en");
const problem = { line: 1, key: null, problem: "no", remedy: "yes" };

/** @param {Partial<StatusJson>} given @param {PackJson[]} [packs] */
function stateOf(given, packs = []) {
  return { ...withStatus(emptyState(), status(given), 0), packs };
}

suite("the order of the cards", () => {
  test("is: what needs somebody, then what is under way, then what works, each by name", () => {
    const sites = [
      site({ pack: "a-ready" }),
      site({ pack: "b-describing", state: "describing" }),
      site({ pack: "c-unbuilt", state: "unbuilt" }),
      site({ pack: "d-building", state: "building" }),
      site({ pack: "e-failed", state: "failed" }),
      site({ pack: "f-stale", state: "stale" }),
      site({ pack: "g-failed", state: "failed" }),
      site({ pack: "0-ready" }),
    ];
    const names = cards(stateOf({ sites })).map(({ name }) => name);
    assert.deepEqual(names, ["e-failed", "g-failed", "f-stale", "c-unbuilt", "d-building", "b-describing", "0-ready", "a-ready"]);
  });

  test("and their group follow the worst directory of a pack", () => {
    const sites = [site({ id: "m/a", state: "ready" }), site({ id: "m/b", state: "failed" })];
    const [card] = cards(stateOf({ sites }));
    assert.equal(card.state, "failed");
    assert.equal(groupOf(card), "attention");
    assert.equal(card.nodes, 2);
  });
});

suite("a card", () => {
  test("waits while its build waits for its turn", () => {
    const sites = [site({ state: "building" })];
    const [card] = cards(stateOf({ sites, builds: [build({ state: "queued", position: 2 })] }));
    assert.equal(card.state, "queued");
    assert.deepEqual(card.builds.map(({ id }) => id), ["build-1"]);
  });

  test("shows no build that has ended", () => {
    const [card] = cards(stateOf({ sites: [site()], builds: [build({ state: "done" })] }));
    assert.deepEqual(card.builds, []);
    assert.equal(card.state, "ready");
  });

  test("is there for a pack whose file cannot be read and therefore asks for nothing", () => {
    /** @type {PackJson["files"]} */
    const files = [{ path: "comfy-env.toml", kind: "environment", text: "x", problems: [{ level: "error", ...problem }] }];
    const [card] = cards(stateOf({}, [pack({ sites: [], files })]));
    assert.deepEqual([card.state, card.errors, card.warnings], ["mistake", 1, 0]);
  });

  test("says that the file is mistaken, not that a build failed, where that is why", () => {
    const failure = { cause: "config", message: "no", remedy: "", log_path: null };
    /** @type {PackJson["files"]} */
    const files = [{ path: "comfy-env.toml", kind: "environment", text: "x", problems: [{ level: "error", ...problem }] }];
    const [card] = cards(stateOf({ sites: [site({ state: "failed", failure })] }, [pack({ files })]));
    assert.equal(card.state, "mistake");
  });

  test("has just no environment after somebody cancelled its build", () => {
    const failure = { cause: "cancelled", message: "no", remedy: "", log_path: null };
    const [card] = cards(stateOf({ sites: [site({ state: "failed", failure })] }));
    assert.equal(card.state, "unbuilt");
  });

  test("is found by parts of its name, of a node's, and of the word for its state", () => {
    const [card] = cards(stateOf({ sites: [site({ pack: "Geometry", nodes: ["MeshSmooth"], state: "failed" })] }));
    for (const words of ["geo", "smooth", "FAILED", "geo failed", ""]) assert.ok(matches(card, words, t), words);
    for (const words of ["ready", "geo ready"]) assert.ok(!matches(card, words, t), words);
  });

  test("has one environment for the directories that share it", () => {
    const sites = [
      site({ id: "m/a", environment_id: "one" }),
      site({ id: "m/b", environment_id: "two" }),
      site({ id: "m/c", environment_id: "one" }),
    ];
    const state = stateOf({ sites });
    const shared = environmentsOf(cards(state)[0], state).map((one) => [one.id, one.sites.map(({ id }) => id)]);
    assert.deepEqual(shared, [["one", ["m/a", "m/c"]], ["two", ["m/b"]]]);
  });
});

test("the sum counts what a build may help", () => {
  const sites = [site({ pack: "a" }), site({ pack: "b", state: "stale" }), site({ pack: "c", state: "building" })];
  assert.deepEqual(totals(cards(stateOf({ sites }))), { all: 3, ready: 1, building: 1, attention: 1, toBuild: 1, nodes: 3 });
});

test("a build's time goes on between two words of the server, and stands still when it has ended", () => {
  const received = { ...build({ elapsed_s: 10 }), received_at: 100 };
  assert.equal(elapsedS(received, 103), 13);
  assert.equal(elapsedS({ ...received, state: "failed" }, 103), 10);
  assert.equal(elapsedS({ ...received, state: "queued", elapsed_s: 0 }, 103), 0);
});

suite("screen readers", () => {
  test("hear of each pack that changed its state, and of nothing else", () => {
    const before = stateOf({ sites: [site(), site({ pack: "other" })] });
    const after = stateOf({ sites: [site({ state: "failed" }), site({ pack: "other", nodes: [] })] });
    assert.equal(announcement(before, after, t), "mesh: Failed.");
    assert.equal(announcement(before, before, t), "");
    assert.equal(announcement(emptyState(), after, t), "", "nothing is told of the first sight");
  });

  test("hear that the connection was lost and is back", () => {
    const ready = stateOf({});
    const lost = { ...ready, phase: /** @type {const} */ ("lost") };
    assert.equal(announcement(ready, lost, t), t("frame.lost"));
    assert.equal(announcement(lost, ready, t), t("frame.found_again"));
  });
});
