import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "late-nodes.helpful",
  init: () => window.lateCalls.push("init"),
  setup: () => window.lateCalls.push("setup"),
  beforeRegisterNodeDef: (_, { name }) => name === "LateEta" && window.lateCalls.push(`beforeRegisterNodeDef ${name}`),
  nodeCreated: ({ comfyClass }) => window.lateCalls.push(`nodeCreated ${comfyClass}`),
});
