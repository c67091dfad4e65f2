// @ts-check
/** The panel as a page of its own, at /comfy-env/: for whoever wants it in a window beside ComfyUI. */

import { Model } from "./model.js";
import { mountPanel } from "./panel.js";
import { ownTransport, Server } from "./server.js";

const server = new Server(ownTransport());
const model = new Model(server);
const place = /** @type {HTMLElement} */ (document.getElementById("panel"));
mountPanel(place, { model, server, language: navigator.language });
model.start();
