// @ts-check
/** Text that leaves the page: into the clipboard, or into a file. */

/**
 * To be called from a click. ComfyUI is often opened from another machine over plain http, where browsers have no
 * `navigator.clipboard`; the older way works there.
 * @param {string} text
 * @returns {Promise<boolean>} whether it is in the clipboard
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByCommand(text);
  }
}

/** @param {string} text */
function copyByCommand(text) {
  const fill = (/** @type {ClipboardEvent} */ event) => {
    event.clipboardData?.setData("text/plain", text);
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  document.addEventListener("copy", fill, { capture: true });
  try {
    return document.execCommand("copy");
  } finally {
    document.removeEventListener("copy", fill, { capture: true });
  }
}

/** @param {string} text @param {string} name */
export function saveAsFile(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  link.download = name;
  link.click();
  // The download begins after this task; the text must be there until then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
