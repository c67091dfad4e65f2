// @ts-check
/** The sections of the panel, in the order of their tabs. The views of one are shown one below the other. */

import { diskView } from "./views/disk.js";
import { doctorView } from "./views/doctor.js";
import { packsView } from "./views/packs.js";
import { settingsView } from "./views/settings.js";
import { supportView } from "./views/support.js";
import { workersView } from "./views/workers.js";

/** @import { IconName } from "./icons.js" */
/** @import { TemplateResult } from "./html.js" */
/** @import { Panel, Section } from "./types.js" */

/** @type {Record<Section, { icon: IconName, views: ((panel: Panel) => TemplateResult)[] }>} */
export const SECTIONS = {
  packs: { icon: "packs", views: [packsView] },
  workers: { icon: "workers", views: [workersView] },
  disk: { icon: "disk", views: [diskView] },
  settings: { icon: "settings", views: [settingsView] },
  help: { icon: "help", views: [doctorView, supportView] },
};
