// @ts-check
import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { REMEDIES, remediesFor } from "../../web/remedies.js";

/** The server's causes, read from its code by what runs these tests. */
const causes = JSON.parse(process.env.COMFY_ENV_TESTS_CAUSES ?? "null");

suite("what helps", () => {
  test("is said for every cause of the server, and for no other", { skip: causes === null && "run by tests/web/test_web_units.py" }, () => {
    assert.deepEqual(Object.keys(REMEDIES).sort(), [...causes].sort());
  });

  test("is something, and nothing twice", () => {
    for (const [cause, actions] of Object.entries(REMEDIES)) {
      assert.ok(actions.length > 0, cause);
      assert.equal(new Set(actions).size, actions.length, cause);
    }
  });

  test("is also said against a cause that only a newer server knows", () => {
    assert.deepEqual(remediesFor("meteorite"), ["build", "log", "report"]);
  });
});
