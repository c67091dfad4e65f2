// @ts-check
/**
 * What is known of one log: a run of whole lines without gaps, with the place in bytes where it begins and ends.
 *
 * Pages that were asked for and pieces that the server sends are offered alike. One that does not fit is refused, and
 * whoever offered it fetches what lies between: overlaps are never cut, since a byte of the file need not be a letter.
 */

import { Deque } from "./deque.js";
import { cellsOf, linesOf, SHOWN_CHARACTERS } from "./text.js";

/** @typedef {{ log: string, start: number, end: number, text: string }} Piece of a log; places in bytes. */
/** @typedef {"added" | "known" | "gap" | "other-log"} Fit */

/** Some 600,000 lines. A worker that prints for days must not fill the page's memory. */
const MOST_CHARACTERS = 64 * 1024 * 1024;

export class LogLines {
  /** @type {Deque<string>} */
  #lines = new Deque();
  /** @type {Deque<{start: number, lines: number, characters: number}>} what was added at once. */
  #pieces = new Deque();
  #mostCharacters;
  /** Whether the last line may go on: its end was not seen. */
  #isOpen = false;

  /** @type {string | null} which log this is; null before the first piece. */
  log = null;
  /** Where the first known line begins, in bytes. */
  start = 0;
  /** Where the last known line ends, in bytes. */
  end = 0;
  /** Letters held. */
  characters = 0;
  /** Cells that the widest line needed so far, as far as lines are shown. */
  widest = 0;
  /** Counts what changed lines that were there before: an ended one that went on, or another log. */
  revision = 0;

  constructor(mostCharacters = MOST_CHARACTERS) {
    this.#mostCharacters = mostCharacters;
  }

  get length() {
    return this.#lines.length;
  }

  get firstKey() {
    return this.#lines.firstKey;
  }

  get endKey() {
    return this.#lines.endKey;
  }

  /** Whether nothing older may be added: it would have to be dropped at once. */
  get isFull() {
    return this.characters >= this.#mostCharacters * 0.75;
  }

  /** @param {number} key @returns {string} */
  at(key) {
    return this.#lines.at(key);
  }

  /** @param {number} [from] @param {number} [end] keys @returns {string[]} */
  slice(from, end) {
    return this.#lines.slice(from, end);
  }

  /** Forgets everything and begins with this piece. @param {Piece} piece */
  begin(piece) {
    this.#lines = new Deque();
    this.#pieces = new Deque();
    this.#isOpen = false;
    this.log = piece.log;
    this.start = this.end = piece.start;
    this.characters = this.widest = 0;
    this.revision += 1;
    this.#append(piece);
  }

  /** @param {Piece} piece @returns {Fit} "added", or why it was not. */
  offer(piece) {
    if (piece.log !== this.log) return "other-log";
    if (piece.start >= this.start && piece.end <= this.end) return "known";
    if (piece.start === this.end) this.#append(piece);
    else if (piece.end === this.start) this.#prepend(piece);
    else return "gap";
    return "added";
  }

  /** @param {Piece} piece */
  #append(piece) {
    const lines = linesOf(piece.text);
    const added = lines.length;
    if (this.#isOpen && added > 0 && this.length > 0) {
      this.#lines.replaceLast(this.#lines.at(this.endKey - 1) + lines.shift());
      this.revision += 1;
    }
    this.#lines.append(lines);
    this.end = piece.end;
    if (added === 0) return;
    this.#isOpen = !piece.text.endsWith("\n");
    this.#pieces.append([this.#count(piece, lines)]);
    this.#dropOldest();
  }

  /** @param {Piece} piece */
  #prepend(piece) {
    const lines = linesOf(piece.text);
    this.#lines.prepend(lines);
    this.#pieces.prepend([this.#count(piece, lines)]);
    this.start = piece.start;
  }

  /** @param {Piece} piece @param {string[]} lines that it added */
  #count(piece, lines) {
    for (const line of lines) {
      if (line.length * 2 > this.widest) this.widest = Math.max(this.widest, cellsOf(line.slice(0, SHOWN_CHARACTERS)));
    }
    this.characters += piece.text.length;
    return { start: piece.start, lines: lines.length, characters: piece.text.length };
  }

  #dropOldest() {
    while (this.characters > this.#mostCharacters && this.#pieces.length > 1) {
      const oldest = this.#pieces.at(this.#pieces.firstKey);
      this.#lines.dropFirst(oldest.lines);
      this.#pieces.dropFirst(1);
      this.characters -= oldest.characters;
      this.start = this.#pieces.at(this.#pieces.firstKey).start;
    }
  }
}
