import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { LogLines } from "../../web/log/lines.js";
import { StraightRows, WrappedRows } from "../../web/log/rows.js";
import { MOST_HEIGHT, Viewport } from "../../web/log/viewport.js";

const ROW = 18;

function viewport(rowCount, viewHeight = 600) {
  return new Viewport({ rowHeight: ROW, rowCount, viewHeight });
}

function linesWith(text) {
  const lines = new LogLines();
  lines.begin({ log: "a", start: 1000, end: 1000 + text.length, text });
  return lines;
}

describe("the viewport", () => {
  test("100,000 lines are as high as they are", () => {
    const view = viewport(100_000);
    assert.equal(view.contentHeight, 1_800_000);
    assert.deepEqual(view.rowsAt(900_000), { first: 50_000, end: 50_034 });
    assert.equal(view.topOf(50_000, 900_000), 900_000);
  });

  test("a list higher than browsers allow reaches from its first row to its last all the same", () => {
    const view = viewport(5_000_000);
    assert.equal(view.contentHeight, MOST_HEIGHT);

    assert.equal(view.rowsAt(0).first, 0);
    assert.equal(view.rowsAt(view.bottom).end, 5_000_000);
  });

  test("in a list higher than browsers allow every row can be brought into sight", () => {
    const view = viewport(5_000_000);
    for (const row of [0, 1, 1_234_567, 2_500_000, 4_999_998, 4_999_999]) {
      const scrollTop = view.revealing(row, 0);
      const { first, end } = view.rowsAt(scrollTop);
      assert.ok(first <= row && row < end, `row ${row} at ${scrollTop}`);
      const top = view.topOf(row, scrollTop) - scrollTop;
      assert.ok(top >= -0.5 && top + ROW <= 600.5, `row ${row} is drawn ${top} px below the upper edge`);
    }
  });

  test("rows in sight touch each other also where the list is scaled", () => {
    const view = viewport(5_000_000);
    const scrollTop = 3_333_333;
    const { first } = view.rowsAt(scrollTop);
    assert.ok(Math.abs(view.topOf(first + 1, scrollTop) - view.topOf(first, scrollTop) - ROW) < 1e-6);
  });

  test("positions turn into offsets and back", () => {
    for (const view of [viewport(100), viewport(100_000), viewport(9_000_000)]) {
      for (const part of [0, 0.3, 1]) {
        const scrollTop = part * view.bottom;
        assert.ok(Math.abs(view.scrollTopAt(view.offsetAt(scrollTop)) - scrollTop) < 1e-6);
      }
    }
  });

  test("a short list shows all its rows and does not scroll", () => {
    const view = viewport(3);
    assert.equal(view.bottom, 0);
    assert.deepEqual(view.rowsAt(0, 20), { first: 0, end: 3 });
    assert.deepEqual(viewport(0).rowsAt(0), { first: 0, end: 0 });
  });

  test("a row in sight is not moved to be shown", () => {
    assert.equal(viewport(1000).revealing(20, 300), 300);
    assert.notEqual(viewport(1000).revealing(500, 300), 300);
  });
});

describe("rows", () => {
  test("wrapped lines take as many rows as they need, and rows find their lines again", () => {
    const rows = new WrappedRows(linesWith("abcdefgh\n\nxyz\n"), 3);

    assert.equal(rows.count, 5);
    const found = Array.from({ length: 5 }, (_, index) => rows.at(index));
    assert.deepEqual(found, [
      { key: 0, from: 0, end: 3, hidden: 0 },
      { key: 0, from: 3, end: 6, hidden: 0 },
      { key: 0, from: 6, end: 8, hidden: 0 },
      { key: 1, from: 0, end: 0, hidden: 0 },
      { key: 2, from: 0, end: 3, hidden: 0 },
    ]);
    assert.deepEqual([rows.rowOf(0), rows.rowOf(0, 7), rows.rowOf(1), rows.rowOf(2, 2)], [0, 2, 3, 4]);
  });

  test("each letter is in the row that shows it", () => {
    const text = "one two three 日本 four-and-a-half five";
    const rows = new WrappedRows(linesWith(text + "\n"), 9);
    for (let letter = 0; letter < text.length; letter += 1) {
      const { from, end } = rows.at(rows.rowOf(0, letter));
      assert.ok(from <= letter && letter < end, `letter ${letter} is not in ${from} to ${end}`);
    }
  });

  test("wrapped rows take up lines at both ends and lines that went on", () => {
    const lines = linesWith("abcd\nef");
    const rows = new WrappedRows(lines, 3);
    assert.equal(rows.count, 3);

    lines.offer({ log: "a", start: 1007, end: 1010, text: "gh\n" });
    rows.update();
    assert.equal(rows.count, 4);

    lines.offer({ log: "a", start: 992, end: 1000, text: "1234567\n" });
    rows.update();
    assert.equal(rows.count, 7);
    assert.deepEqual(rows.at(0), { key: -1, from: 0, end: 3, hidden: 0 });
  });

  test("of a very long line the last row says how much is hidden, wrapped or not", () => {
    const lines = linesWith("x".repeat(2500) + "\n");
    assert.equal(new StraightRows(lines).at(0).hidden, 500);
    const wrapped = new WrappedRows(lines, 1000);
    assert.equal(wrapped.count, 2);
    assert.deepEqual([wrapped.at(0).hidden, wrapped.at(1).hidden], [0, 500]);
  });

  test("unwrapped rows are the lines", () => {
    const rows = new StraightRows(linesWith("one\ntwo\n"));
    assert.equal(rows.count, 2);
    assert.deepEqual(rows.at(1), { key: 1, from: 0, end: 3, hidden: 0 });
    assert.equal(rows.rowOf(1), 1);
  });

  test("100,000 lines are wrapped anew before anybody waits", () => {
    const text = Array.from({ length: 100_000 }, (_, index) => `${index} `.padEnd(index % 180, "x")).join("\n");
    const lines = linesWith(text + "\n");
    const before = process.cpuUsage();
    const rows = new WrappedRows(lines, 40);
    const used_ms = process.cpuUsage(before).user / 1000;
    assert.ok(rows.count > 200_000);
    assert.ok(used_ms < 1500, `${used_ms} ms`);
  });
});
