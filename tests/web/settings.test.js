import assert from "node:assert/strict";
import { test } from "node:test";

import { asText } from "../../web/findings.js";
import { latestJob } from "../../web/jobs.js";
import { meant, shownNumber, shownValue } from "../../web/setting_values.js";

test("an emptied field means the default", () => {
  for (const kind of ["choice", "integer", "seconds", "url"]) assert.equal(meant({ kind }, "  "), null);
});

test("times are entered and shown in minutes", () => {
  assert.equal(meant({ kind: "seconds" }, "240"), 14400);
  assert.equal(meant({ kind: "seconds" }, "0.5"), 30);
  assert.equal(shownValue({ kind: "seconds", value: 14400 }), "240");
  assert.equal(shownValue({ kind: "seconds", value: 100 }), "1.67");
  assert.equal(shownNumber({ kind: "seconds" }, null), null);
});

test("numbers are sent as numbers, addresses as they were entered", () => {
  assert.equal(meant({ kind: "integer" }, "4"), 4);
  assert.equal(meant({ kind: "url" }, " https://mirror.example/simple "), "https://mirror.example/simple");
});

test("a value that is not set is an empty field, and 0 is a value", () => {
  assert.equal(shownValue({ kind: "url", value: null }), "");
  assert.equal(shownValue({ kind: "integer", value: 0 }), "0");
});

test("findings become lines that can be pasted", () => {
  const findings = [
    { subject: "disk", level: "fail", text: "is full", remedy: "Make room." },
    { subject: "network", level: "ok", text: "answers", remedy: "" },
  ];
  assert.equal(asText(findings), "[fail] disk: is full\n    Make room.\n[ok] network: answers");
});

test("the job of a kind that was begun last is the one to look at", () => {
  const jobs = [
    { id: "a", kind: "doctor", started_at: 1 },
    { id: "b", kind: "doctor", started_at: 3 },
    { id: "c", kind: "doctor", started_at: 2 },
    { id: "d", kind: "move-store", started_at: 9 },
  ];
  const known = new Map(jobs.map((job) => [job.id, job]));
  assert.equal(latestJob(known, "doctor").id, "b");
  assert.equal(latestJob(known, "build"), null);
});
