// @ts-check
import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { formats } from "../../web/format.js";

const { ago, bytes, clock, duration, number } = formats("en");

suite("sizes", () => {
  for (const [size, text] of /** @type {const} */ ([
    [0, "0 bytes"],
    [999, "999 bytes"],
    [1000, "1 kB"],
    [4_200_000, "4.2 MB"],
    [340_000_000, "340 MB"],
    [1_340_000_000, "1.3 GB"],
    [2.5e12, "2.5 TB"],
    [9e15, "9,000 TB"],
  ])) {
    test(`${size} bytes are ${text}`, () => assert.equal(bytes(size), text));
  }
});

suite("times", () => {
  for (const [seconds, text] of /** @type {const} */ ([
    [0, "0:00"],
    [7.9, "0:07"],
    [760, "12:40"],
    [3723, "1:02:03"],
    [-1, "0:00"],
  ])) {
    test(`${seconds} s on the clock are ${text}`, () => assert.equal(clock(seconds), text));
  }

  for (const [seconds, text] of /** @type {const} */ ([
    [0.34, "0.3 sec"],
    [9.96, "10 sec"],
    [84, "84 sec"],
    [90, "2 min"],
    [5400, "1.5 hr"],
  ])) {
    test(`${seconds} s are about ${text}`, () => assert.equal(duration(seconds), text));
  }

  const now_ms = Date.parse("2026-11-23T12:00:00Z");
  for (const [when, text] of /** @type {const} */ ([
    ["2026-11-23T11:59:40Z", "now"],
    ["2026-11-23T11:20:00Z", "40 minutes ago"],
    ["2026-11-20T10:00:00Z", "3 days ago"],
    [Date.parse("2025-11-23T00:00:00Z") / 1000, "last year"],
  ])) {
    test(`${when} is ${text}`, () => assert.equal(ago(when, now_ms), text));
  }
});

suite("numbers", () => {
  for (const [value, text] of /** @type {const} */ ([
    [0, "0"],
    [999, "999"],
    [1000, "1,000"],
    [-3, "-3"],
    [1.5, "1.5"],
  ])) {
    test(`${value} is ${text}`, () => assert.equal(number(value), text));
  }
});
