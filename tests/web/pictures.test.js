// @ts-check
import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { bytesOf, partsOf, roomOn } from "../../web/disk_shares.js";
import { sparkPaths } from "../../web/spark_paths.js";

const GB = 1e9;

/** @returns {import("../../web/types.js").DiskOwner} */
function owner(/** @type {string} */ name, /** @type {any} */ kind, /** @type {number} */ unique, /** @type {number} */ shared) {
  return { name, kind, unique_bytes: unique * GB, shared_bytes: shared * GB, packs: [] };
}

/** @returns {import("../../web/types.js").Disk} */
function disk(/** @type {number} */ used, /** @type {import("../../web/types.js").DiskOwner[]} */ ...owners) {
  return { measured_at: 0, root: "/ce", free_bytes: 50 * GB, total_bytes: 100 * GB, used_bytes: used * GB, owners };
}

/** The numbers of a path, as points. @param {string} path */
function pointsOf(path) {
  return [...path.matchAll(/([-\d.]+) ([-\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
}

suite("a sparkline", () => {
  test("has its newest value at the right edge, however few there are", () => {
    const [[first], [last]] = pointsOf(sparkPaths([10, 20], 60, 100).line);
    assert.equal(last, 120);
    assert.ok(Math.abs(first - (120 - 120 / 59)) < 0.1);
  });

  test("reaches from edge to edge when every slot has a value, and shows no older ones", () => {
    const values = Array.from({ length: 80 }, (_, index) => index);
    const points = pointsOf(sparkPaths(values, 60, 100).line);
    assert.equal(points.length, 60);
    assert.deepEqual([points[0][0], points[59][0]], [0, 120]);
  });

  test("is higher where the value is, and never above the edge", () => {
    const heights = pointsOf(sparkPaths([0, 50, 100, 500], 4, 100).line).map(([, y]) => y);
    assert.ok(heights[0] > heights[1] && heights[1] > heights[2]);
    assert.equal(heights[2], heights[3]);
    assert.ok(heights.every((y) => y > 0 && y < 28));
  });

  test("is parted where a value is not known", () => {
    const { line, area } = sparkPaths([1, 2, null, 3, 4], 5, 10);
    assert.equal(line.match(/M/g)?.length, 2);
    assert.equal(area.match(/Z/g)?.length, 2);
  });

  test("is nothing for no value, for one, and for unknown ones", () => {
    for (const values of [[], [1], [null, null], [null, 1, null]]) assert.deepEqual(sparkPaths(values, 60, 100), { line: "", area: "" });
  });

  test("is drawn also where nothing was ever used", () => {
    assert.doesNotMatch(sparkPaths([0, 0], 60, 1).line, /NaN|Infinity/);
  });
});

suite("the parts of the store", () => {
  test("add up to what is used, although shared bytes count for each who shares", () => {
    const parts = partsOf(disk(10, owner("a", "environment", 3, 4), owner("b", "environment", 1, 4), owner("uv", "cache", 2, 4)));
    assert.equal(parts.reduce((sum, { bytes }) => sum + bytes, 0), 10 * GB);
    assert.equal(bytesOf(parts, "shared"), 4 * GB);
    assert.equal(bytesOf(parts, "environment"), 4 * GB);
  });

  test("stand by kind, the largest first, without empty ones", () => {
    const parts = partsOf(disk(9, owner("uv", "cache", 2, 0), owner("a", "environment", 1, 0), owner("b", "environment", 6, 0), owner("c", "other", 0, 0)));
    assert.deepEqual(parts.map((part) => part.owner?.name), ["b", "a", "uv"]);
  });

  test("are none of an empty store", () => {
    assert.deepEqual(partsOf(disk(0)), []);
  });
});

suite("the room on the disk", () => {
  test("adds up to the disk", () => {
    const room = roomOn(disk(10));
    assert.deepEqual(room, { store: 10 * GB, elsewhere: 40 * GB, free: 50 * GB, total: 100 * GB });
  });

  test("is not known where the system does not say", () => {
    assert.equal(roomOn({ ...disk(10), free_bytes: null }), null);
    assert.equal(roomOn({ ...disk(10), total_bytes: null }), null);
  });

  test("never has less than nothing elsewhere: the store may be measured by another reckoning than the disk", () => {
    assert.equal(roomOn(disk(70))?.elsewhere, 0);
  });
});
