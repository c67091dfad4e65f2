import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Deque } from "../../web/log/deque.js";
import { LogLines } from "../../web/log/lines.js";
import { breaksOf, cellsOf, levelOf, linesOf, shownPart, SHOWN_CHARACTERS, timeLengthOf } from "../../web/log/text.js";

/** A piece of the log "a". Its text is plain ASCII, so that its length is its size in bytes. */
function piece(start, text, log = "a") {
  return { log, start, end: start + text.length, text };
}

function storeWith(...pieces) {
  const lines = new LogLines();
  lines.begin(pieces[0]);
  for (const one of pieces.slice(1)) assert.equal(lines.offer(one), "added");
  return lines;
}

describe("the lines of a log", () => {
  test("a piece that does not begin where the lines end is a gap, and changes nothing", () => {
    const lines = storeWith(piece(100, "one\n"));

    assert.equal(lines.offer(piece(110, "three\n")), "gap");

    assert.deepEqual(lines.slice(), ["one"]);
    assert.equal(lines.end, 104);
  });

  test("the missing range closes the gap", () => {
    const lines = storeWith(piece(100, "one\n"));
    lines.offer(piece(108, "three\n"));

    assert.equal(lines.offer(piece(104, "two\n")), "added");
    assert.equal(lines.offer(piece(108, "three\n")), "added");

    assert.deepEqual(lines.slice(), ["one", "two", "three"]);
  });

  test("what is known already is not added twice", () => {
    const lines = storeWith(piece(0, "one\ntwo\n"));

    assert.equal(lines.offer(piece(4, "two\n")), "known");

    assert.deepEqual(lines.slice(), ["one", "two"]);
  });

  test("a piece that overlaps the end is a gap: it is fetched from the end on instead of being cut", () => {
    const lines = storeWith(piece(0, "one\ntwo\n"));

    assert.equal(lines.offer(piece(4, "two\nthree\n")), "gap");
  });

  test("another log is refused until the lines begin anew with it", () => {
    const lines = storeWith(piece(0, "old\n"));
    const revision = lines.revision;

    assert.equal(lines.offer(piece(0, "new\n", "b")), "other-log");
    lines.begin(piece(0, "new\n", "b"));

    assert.deepEqual(lines.slice(), ["new"]);
    assert.notEqual(lines.revision, revision);
  });

  test("lines keep their keys when older ones are put before them", () => {
    const lines = storeWith(piece(100, "newer\n"));
    const key = lines.firstKey;

    assert.equal(lines.offer(piece(88, "old\nolder?\n".slice(0, 12).padEnd(12, "\n"))), "added");

    assert.equal(lines.at(key), "newer");
    assert.equal(lines.start, 88);
    assert.equal(lines.at(lines.firstKey), "old");
  });

  test("a last line without its end is shown, and goes on with the next piece", () => {
    const lines = storeWith(piece(0, "one\ntw"));
    assert.deepEqual(lines.slice(), ["one", "tw"]);
    const revision = lines.revision;

    lines.offer(piece(6, "o\nthree\n"));

    assert.deepEqual(lines.slice(), ["one", "two", "three"]);
    assert.notEqual(lines.revision, revision);
  });

  test("an empty piece changes nothing", () => {
    const lines = storeWith(piece(0, "one\n"));

    assert.equal(lines.offer(piece(4, "")), "known");

    assert.deepEqual(lines.slice(), ["one"]);
  });

  test("of more than it may hold it forgets the oldest pieces, and says where it begins now", () => {
    const lines = new LogLines(100);
    lines.begin(piece(0, "a".repeat(39) + "\n"));
    lines.offer(piece(40, "b".repeat(39) + "\n"));
    const key = lines.endKey - 1;

    lines.offer(piece(80, "c".repeat(39) + "\n"));

    assert.equal(lines.start, 40);
    assert.equal(lines.firstKey, key);
    assert.equal(lines.at(key), "b".repeat(39));
    assert.ok(lines.isFull);
  });
});

describe("a list that grows at both ends", () => {
  test("keys stay with their items through every change", () => {
    const list = new Deque();
    list.append(["c", "d"]);
    list.prepend(["a", "b"]);
    assert.deepEqual([list.firstKey, list.at(-2), list.at(-1), list.at(0), list.at(1)], [-2, "a", "b", "c", "d"]);

    list.dropFirst(3);
    list.append(["e"]);

    assert.deepEqual([list.firstKey, list.at(1), list.at(2), list.length], [1, "d", "e", 2]);
    list.prepend(["z"]);
    assert.deepEqual(list.slice(), ["z", "d", "e"]);
  });

  test("the last item is replaced on whichever side it is", () => {
    const list = new Deque();
    list.prepend(["a", "b"]);
    list.replaceLast("B");
    assert.deepEqual(list.slice(), ["a", "B"]);
    list.append(["c"]);
    list.replaceLast("C");
    assert.deepEqual(list.slice(), ["a", "B", "C"]);
  });
});

describe("what a line says", () => {
  test("colours, titles and links of terminals are left out", () => {
    const text = "\x1b[1;31merror\x1b[0m: no\x1b[K\n\x1b]0;title\x07plain\n\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n\x1b(Bb\x07ell\n";
    assert.deepEqual(linesOf(text), ["error: no", "plain", "link", "bell"]);
  });

  test("of a line that was overwritten the last state stays, and Windows' line ends are ends", () => {
    assert.deepEqual(linesOf("10%\r50%\r100%\r\ndone\r\n\n"), ["100%", "done", ""]);
  });

  test("markup stays the text it is", () => {
    assert.deepEqual(linesOf("<img src=x onerror=alert(1)>&amp;\n"), ["<img src=x onerror=alert(1)>&amp;"]);
  });

  for (const [level, line] of [
    ["error", "20:01:44 ERROR: Could not find a version"],
    ["error", "# FAILED after 3.0 s: no network"],
    ["error", "20:01:44 error: Failed to fetch"],
    ["error", "ModuleNotFoundError: No module named 'bpy'"],
    ["error", "20:01:44 torch.cuda.OutOfMemoryError: no memory"],
    ["error", "Traceback (most recent call last):"],
    ["error", "20:01:44   × failed to solve"],
    ["warning", "WARNING root: slow"],
    ["warning", "/x/y.py:3: DeprecationWarning: old"],
    ["note", "# done after 39.0 s"],
    ["", "20:01:44 0 errors, 0 warnings"],
    ["", "20:01:44  + exceptiongroup==1.2"],
    ["", "imported MyError (errors) in 0.01 s"],
    ["", ""],
  ]) {
    test(`${JSON.stringify(line)} is ${level || "ordinary"}`, () => assert.equal(levelOf(line), level));
  }

  test("the time at the beginning of a line is known by its length", () => {
    assert.equal(timeLengthOf("20:01:44 resolving"), 8);
    assert.equal(timeLengthOf("2026-11-22T20:01:04+00:00 x"), 25);
    assert.equal(timeLengthOf("[20:01:44.123] x"), 14);
    assert.equal(timeLengthOf("20:01:44"), 0);
    assert.equal(timeLengthOf("1.20:01:44 x"), 0);
  });

  test("wide letters take two cells", () => {
    assert.equal(cellsOf("abc"), 3);
    assert.equal(cellsOf("日本"), 4);
    assert.equal(cellsOf("🙂"), 2);
  });

  test("a text is broken into rows that fit, never within a letter", () => {
    assert.deepEqual(breaksOf("abcdefg", 3), [3, 6]);
    assert.deepEqual(breaksOf("abc", 3), []);
    assert.deepEqual(breaksOf("a日本b", 3), [2]);
    assert.deepEqual(breaksOf("aa🙂bb", 3), [2, 5]);
    assert.deepEqual(breaksOf("🙂", 2), []);
  });

  test("rows end after a word where one ends in their second half", () => {
    assert.deepEqual(breaksOf("a bbb cccc dd", 8), [6]);
    assert.deepEqual(breaksOf("aaaaaaaa b", 8), [9]);
    assert.deepEqual(breaksOf("a bbbbbbbbbb", 8), [8]);
    assert.deepEqual(breaksOf("aaaaaaaa ", 8), []);
    assert.deepEqual(breaksOf("日本 日本", 6), [3]);
  });

  test("of a very long line a part is shown, with the match in it", () => {
    const line = "x".repeat(10_000);
    assert.deepEqual(shownPart(line), { from: 0, end: SHOWN_CHARACTERS });
    const { from, end } = shownPart(line, 7000);
    assert.ok(from < 7000 && 7000 < end && end - from <= SHOWN_CHARACTERS);
    assert.deepEqual(shownPart("short", 2), { from: 0, end: 5 });
  });

  test("a shown part never ends within a letter", () => {
    const { end } = shownPart("x".repeat(SHOWN_CHARACTERS - 1) + "🙂🙂");
    assert.equal(end, SHOWN_CHARACTERS - 1);
  });
});
