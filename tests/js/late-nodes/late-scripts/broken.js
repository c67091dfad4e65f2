import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "late-nodes.broken",
  setup: () => {
    window.lateCalls.push("setup broken");
    throw new Error("A script of a pack has a mistake.");
  },
});

throw new Error("And another one.");
