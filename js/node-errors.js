// @ts-check
/**
 * When an isolated node fails, the way to its worker's log is one click: in the message, and on our tab.
 *
 * ComfyUI's own error dialog has no place for a button of ours.
 */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { session } from "../../comfy-env/web/comfyui/session.js";
import { t, toast } from "../../comfy-env/web/comfyui/surroundings.js";

/** What is used of ComfyUI's event. @typedef {{ node_type: string, exception_message: string }} ExecutionError */

/** @param {CustomEvent<ExecutionError>} event */
function onError({ detail: { node_type: type, exception_message: message } }) {
  const site = session.siteOf(type);
  if (!site) return;
  /** @type {import("../web/types.js").Target} */
  const target = { section: "workers", worker: site.id, log: true };
  session.call(target);
  toast({
    severity: "error",
    summary: t("comfyui.node_failed", { node: type, pack: site.pack }),
    detail: message.trim().split("\n")[0],
    action: { label: t("comfyui.show_worker_log"), onClick: () => session.show(target) },
    instead: t("comfyui.log_is_in_tab"),
  });
}

app.registerExtension({
  name: "comfy-env.node-errors",
  setup: () => api.addEventListener("execution_error", onError),
});

export const unregister = () => api.removeEventListener("execution_error", onError);
