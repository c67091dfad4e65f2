// @ts-check
/** English texts. A text that counts something (`count`) has a form for one of it. Every other language has the same keys. */

export default {
  // The frame around all sections
  "frame.title": "Isolated packs",
  "frame.sections": "Sections",
  "section.packs": "Packs",
  "section.workers": "Workers",
  "section.disk": "Disk",
  "section.settings": "Settings",
  "section.help": "Help",
  "frame.loading": "Asking ComfyUI …",
  "frame.lost": "The connection to ComfyUI is lost. What you see is from before; this panel connects again by itself.",
  "frame.found_again": "Connected again.",
  "frame.unreachable": "ComfyUI does not answer.",
  "frame.unreachable_remedy": "See whether it is running. This panel connects again by itself.",
  "frame.own_mistake": "A mistake in the panel: {error}.",
  "frame.read_only": "Nothing can be changed from here.",
  "frame.became": "{pack}: {state}.",
  "frame.dismiss": "Dismiss",
  "dialog.cancel": "Cancel",

  // States of packs
  "state.failed": "Failed",
  "state.mistake": "Mistake in its file",
  "state.stale": "Out of date",
  "state.unbuilt": "Not built",
  "state.building": "Building",
  "state.queued": "Waiting",
  "state.describing": "Loading nodes",
  "state.ready": "Ready",

  // ComfyUI's own page: messages, settings dialog
  "comfyui.ready": "Ready: {packs}",
  "comfyui.nodes_available": { one: "1 node is available now.", other: "{count} nodes are available now." },
  "comfyui.node_failed": "{node} of {pack} failed",
  "comfyui.show_worker_log": "Show the worker's log",
  "comfyui.log_is_in_tab": "The worker's log is in the comfy-env tab of the sidebar.",
  "comfyui.no_panel": "The panel could not be loaded: {error}. Reload the page.",
  "comfyui.settings_canvas": "On the canvas",
  "comfyui.settings_badges": "Show where isolated nodes run",
  "comfyui.settings_badges_help": "A badge with the pack and its Python. With Vue nodes a change shows after a reload.",
  "comfyui.settings_messages": "Messages",
  "comfyui.settings_toasts": "Tell when nodes become available or fail",
  "comfyui.settings_toasts_help": "The comfy-env tab shows it in any case.",
};
