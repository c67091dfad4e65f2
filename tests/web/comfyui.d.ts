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
