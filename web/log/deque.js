// @ts-check
/** A list that grows at both ends. Keys are whole numbers that stay with their items however the list grows. */

/** @template T */
export class Deque {
  /** @type {T[]} what was put before the first item, nearest first. */
  #before = [];
  /** @type {T[]} */
  #after = [];
  /** The key of `#after[0]`. */
  #origin = 0;

  get length() {
    return this.#before.length + this.#after.length;
  }

  /** The key of the first item, and where the next one goes that is put before it: one less. */
  get firstKey() {
    return this.#origin - this.#before.length;
  }

  /** One more than the key of the last item. */
  get endKey() {
    return this.#origin + this.#after.length;
  }

  /** @param {number} key from `firstKey` to below `endKey` @returns {T} */
  at(key) {
    const index = key - this.#origin;
    return index >= 0 ? this.#after[index] : this.#before[-1 - index];
  }

  /** @param {T[]} items */
  append(items) {
    for (const item of items) this.#after.push(item);
  }

  /** @param {T[]} items in their order: the first of them becomes the first of all. */
  prepend(items) {
    for (let index = items.length - 1; index >= 0; index -= 1) this.#before.push(items[index]);
  }

  /** @param {T} item takes the place of the last one. */
  replaceLast(item) {
    const items = this.#after.length ? this.#after : this.#before;
    items[this.#after.length ? items.length - 1 : 0] = item;
  }

  /** @param {number} count */
  dropFirst(count) {
    const earlier = Math.min(count, this.#before.length);
    this.#before.length -= earlier;
    this.#after.splice(0, count - earlier);
    this.#origin += count - earlier;
  }

  /** @param {number} [from] @param {number} [end] @returns {T[]} a copy of a part, by keys. */
  slice(from = this.firstKey, end = this.endKey) {
    const items = [];
    for (let key = Math.max(from, this.firstKey); key < Math.min(end, this.endKey); key += 1) items.push(this.at(key));
    return items;
  }
}
