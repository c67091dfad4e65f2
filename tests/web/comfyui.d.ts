/** What ComfyUI's page offers to extensions has no types of its own there: `any`, at the places where it is imported. */

declare module "*/scripts/app.js" {
  export const app: any;
}

declare module "*/scripts/api.js" {
  export const api: any;
}

interface Window {
  LiteGraph: any;
  LGraphBadge: any;
}

/** js/ and web/ are neighbours in the repository, but not where ComfyUI serves them. */

declare module "*/comfy-env/web/comfyui/session.js" {
  export * from "web/comfyui/session.js";
}

declare module "*/comfy-env/web/comfyui/surroundings.js" {
  export * from "web/comfyui/surroundings.js";
}

declare module "*/comfy-env/web/idle.js" {
  export * from "web/idle.js";
}

declare module "*/comfy-env/web/comfyui/tab_icon.js" {
  export * from "web/comfyui/tab_icon.js";
}
