import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { LogLines } from "../../web/log/lines.js";
import { LogSearch } from "../../web/log/search.js";

const never = () => false;

function linesWith(text, start = 10_000) {
  const lines = new LogLines();
  lines.begin({ log: "a", start, end: start + text.length, text });
  return lines;
}

function searched(lines, query) {
  const search = new LogSearch(lines, query);
  search.work(never);
  return search;
}

function found(search) {
  return Array.from({ length: search.count }, (_, index) => search.at(index));
}

describe("the search", () => {
  test("finds every occurrence in order", () => {
    const search = searched(linesWith("torch, torch\nnone\nTorch\n"), "torch");
    assert.deepEqual(found(search), [
      { key: 0, from: 0, end: 5 },
      { key: 0, from: 7, end: 12 },
      { key: 2, from: 0, end: 5 },
    ]);
  });

  test("case counts where the query has a capital letter", () => {
    assert.equal(searched(linesWith("torch\nTorch\n"), "Torch").count, 1);
  });

  test("signs of regular expressions are letters like others", () => {
    assert.equal(searched(linesWith("a+b (c)\naab\n[x].*\n"), "a+b (c)").count, 1);
    assert.equal(searched(linesWith("[x].*\n{y}\n"), ".*").count, 1);
    assert.equal(searched(linesWith("a/b-c\\d\n"), "/b-c\\").count, 1);
  });

  test("takes up lines that come at both ends, and keeps the order", () => {
    const lines = linesWith("match\n");
    const search = searched(lines, "match");

    lines.offer({ log: "a", start: 10_006, end: 10_012, text: "match\n" });
    lines.offer({ log: "a", start: 9_988, end: 10_000, text: "match\nmatch\n" });
    assert.ok(!search.isComplete);
    search.work(never);

    assert.deepEqual(found(search).map((match) => match.key), [-2, -1, 0, 1]);
    assert.ok(search.isComplete);
  });

  test("begins anew where another log took the lines' place", () => {
    const lines = linesWith("match\n");
    const search = searched(lines, "match");

    lines.begin({ log: "b", start: 0, end: 18, text: "nothing\nmatch\nmatch\n" });
    search.work(never);

    assert.deepEqual(found(search).map((match) => match.key), [1, 2]);
  });

  test("forgets matches in lines that were dropped", () => {
    const lines = new LogLines(30);
    lines.begin({ log: "a", start: 0, end: 15, text: "first match 111\n".slice(1) });
    const search = searched(lines, "match");
    lines.offer({ log: "a", start: 15, end: 30, text: "second match 2\n" });
    lines.offer({ log: "a", start: 30, end: 45, text: "third match 33\n" });

    search.work(never);

    assert.deepEqual(found(search).map((match) => match.key), [1, 2]);
  });

  test("stops in time and goes on where it stopped", () => {
    const lines = linesWith("match\n".repeat(2000));
    const search = new LogSearch(lines, "match");
    let looks = 0;
    search.work(() => (looks += 1) > 2);
    assert.ok(search.count > 0 && search.count < 2000);
    assert.ok(!search.isComplete);

    search.work(never);

    assert.equal(search.count, 2000);
  });

  test("goes from match to match and round the ends", () => {
    const search = searched(linesWith("m\nx\nm m\n"), "m");
    const first = search.at(0);
    const second = search.beside(first, 1);
    assert.deepEqual(second, { key: 2, from: 0, end: 1 });
    assert.deepEqual(search.beside(first, -1), { key: 2, from: 2, end: 3 });
    assert.equal(search.indexOf(second), 1);
  });

  test("the nearest match is the first one from a line on, else the last one before", () => {
    const search = searched(linesWith("m\nx\nm\nx\n"), "m");
    assert.equal(search.nearest(1).key, 2);
    assert.equal(search.nearest(3).key, 2);
    assert.equal(searched(linesWith("x\n"), "m").nearest(0), null);
  });

  test("the matches of a line are those to be marked in it", () => {
    const search = searched(linesWith("m\nmm\nm\n"), "m");
    assert.deepEqual(search.inLine(1).map((match) => match.from), [0, 1]);
    assert.deepEqual(search.inLine(7), []);
  });

  test("looks through 100,000 lines before anybody waits", () => {
    const lines = linesWith("20:01:44 Downloading something of some length (12.5 MiB)\n".repeat(100_000));
    const before = process.cpuUsage();
    const search = searched(lines, "of some");
    const used_ms = process.cpuUsage(before).user / 1000;
    assert.equal(search.count, 100_000);
    assert.ok(used_ms < 1500, `${used_ms} ms`);
  });
});
