// @ts-check
/** What takes the room in the store, as parts that add up. Pure. */

/** @import { Disk, DiskOwner } from "./types.js" */

/**
 * A part of the store. `owner`: null for what several owners share, which is nobody's alone.
 * @typedef {{ kind: "environment" | "shared" | "cache" | "other", bytes: number, owner: DiskOwner | null }} Part
 */

const ORDER = ["environment", "shared", "cache", "other"];

/**
 * What each owner has alone, and what is shared once, not once for each who shares it: shared bytes of owners do not add up.
 * @param {Disk} disk
 * @returns {Part[]} without empty ones; kinds together, the largest of each first
 */
export function partsOf({ owners, used_bytes }) {
  const alone = owners.map((owner) => ({ kind: owner.kind, bytes: owner.unique_bytes, owner }));
  const shared = Math.max(0, used_bytes - alone.reduce((sum, { bytes }) => sum + bytes, 0));
  /** @type {Part[]} */
  const parts = [...alone, { kind: "shared", bytes: shared, owner: null }];
  return parts.filter(({ bytes }) => bytes > 0).sort((one, other) => rank(one) - rank(other) || other.bytes - one.bytes);
}

/** @param {Part} part */
function rank({ kind }) {
  return ORDER.indexOf(kind);
}

/** @param {Part[]} parts @param {Part["kind"]} kind */
export function bytesOf(parts, kind) {
  return parts.reduce((sum, part) => sum + (part.kind === kind ? part.bytes : 0), 0);
}

/**
 * The whole disk: the store, what else is on it, and what is free.
 * @param {Disk} disk
 * @returns {{ store: number, elsewhere: number, free: number, total: number } | null} bytes; null where the system does not say
 */
export function roomOn({ used_bytes, free_bytes, total_bytes }) {
  if (free_bytes === null || total_bytes === null || total_bytes <= 0) return null;
  const store = Math.min(used_bytes, total_bytes - free_bytes);
  return { store, elsewhere: total_bytes - free_bytes - store, free: free_bytes, total: total_bytes };
}
