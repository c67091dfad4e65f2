// @ts-check
/** How everything stands, in one line of words, and the button that builds what is not built. */

import { html, nothing } from "../html.js";
import { totals } from "../overview.js";
import { button } from "./parts.js";

/** @import { Panel } from "../types.js" */

/** @param {Panel} panel */
export function headerView(panel) {
  const { cards, t, act, server, whyNot } = panel;
  const sum = totals(cards);
  return html`<header class="header">
    <div class="header-words">
      <h1>${t("frame.title")}</h1>
      <p class="quiet">${summary(sum, t)}</p>
    </div>
    ${sum.toBuild
      ? button({
          label: t("header.build_all"),
          icon: "build",
          kind: "main",
          onClick: act(() => server.post("/build"), t("packs.asked_to_build")),
          whyNot,
        })
      : nothing}
  </header>`;
}

/**
 * @param {ReturnType<typeof totals>} sum
 * @param {Panel["t"]} t
 */
function summary({ all, ready, building, attention, nodes }, t) {
  if (all === 0) return t("header.none");
  if (ready === all) return `${t("header.all_ready", { count: all })} ${t("header.nodes", { count: nodes })}`;
  const parts = [t("header.ready", { ready, count: all })];
  if (building) parts.push(t("header.building", { count: building }));
  if (attention) parts.push(t("header.attention", { count: attention }));
  return parts.join(" ");
}
