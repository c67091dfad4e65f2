// @ts-check
/** Numbers as people of a language read them. */

const UNITS = /** @type {const} */ (["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"]);

/**
 * @typedef {ReturnType<typeof formats>} Format
 */

/** @param {string} language */
export function formats(language) {
  const plain = atFirstUse(() => new Intl.NumberFormat(language));
  const relative = atFirstUse(() => new Intl.RelativeTimeFormat(language, { numeric: "auto" }));
  const moment = atFirstUse(() => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }));

  /** @param {number} value @param {string} unit @param {number} digits @param {"short" | "long"} unitDisplay */
  const withUnit = (value, unit, digits, unitDisplay = "short") =>
    new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay, maximumFractionDigits: digits }).format(value);

  return {
    /** @param {number} value whole numbers below a thousand look the same in all our languages */
    number: (value) => (Number.isInteger(value) && 0 <= value && value < 1000 ? String(value) : plain().format(value)),

    /** @param {number} value of 100 */
    percent: (value) => new Intl.NumberFormat(language, { style: "percent" }).format(value / 100),

    /**
     * Decimal units, as on the boxes that disks are sold in.
     * @param {number} bytes
     */
    bytes(bytes) {
      const power = Math.min(UNITS.length - 1, bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3));
      const value = bytes / 1000 ** power;
      // The short form of "byte" has no plural.
      return withUnit(value, UNITS[power], power > 1 && value < 100 ? 1 : 0, power === 0 ? "long" : "short");
    },

    /**
     * "0:07", "12:40", "1:02:03": of equal width while it counts.
     * @param {number} seconds
     */
    clock(seconds) {
      const whole = Math.max(0, Math.floor(seconds));
      const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
      const two = (/** @type {number} */ part) => String(part).padStart(2, "0");
      return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
    },

    /**
     * Roughly, in words: "8 sec", "3 min", "2 hr".
     * @param {number} seconds
     */
    duration(seconds) {
      if (seconds < 9.95) return withUnit(seconds, "second", 1);
      if (seconds < 90) return withUnit(seconds, "second", 0);
      if (seconds < 90 * 60) return withUnit(seconds / 60, "minute", 0);
      return withUnit(seconds / 3600, "hour", 1);
    },

    /**
     * @param {string | number} when ISO, or Unix time in seconds
     */
    moment: (when) => moment().format(dateOf(when)),

    /**
     * "3 days ago".
     * @param {string | number} when ISO, or Unix time in seconds
     * @param {number} [now_ms]
     */
    ago(when, now_ms = Date.now()) {
      const seconds = (dateOf(when).getTime() - now_ms) / 1000;
      for (const [unit, length] of AGES) {
        if (Math.abs(seconds) >= length) return relative().format(Math.round(seconds / length), unit);
      }
      return relative().format(0, "second");
    },
  };
}

/**
 * The first of each kind takes tens of milliseconds, in which the panel could already be there.
 * @template Thing
 * @param {() => Thing} make
 * @returns {() => Thing}
 */
function atFirstUse(make) {
  /** @type {Thing | undefined} */
  let made;
  return () => (made ??= make());
}

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const AGES = [
  ["year", 365 * 86400],
  ["month", 30 * 86400],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

/** @param {string | number} when */
function dateOf(when) {
  return new Date(typeof when === "number" ? when * 1000 : when);
}
