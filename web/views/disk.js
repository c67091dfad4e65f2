// @ts-check
/** What the environments take on the disk, as a picture and in figures. Measuring it takes seconds for many gigabytes. */

import { bytesOf, partsOf, roomOn } from "../disk_shares.js";
import { html, nothing } from "../html.js";
import { cleanUpView } from "./clean_up.js";
import { Fetched } from "./fetched.js";
import { button, note } from "./parts.js";

/** @import { Part } from "../disk_shares.js" */
/** @import { Disk, DiskOwner, Panel } from "../types.js" */

/** Below it a build may fail for want of room. */
const LITTLE_BYTES = 10e9;

/** @param {Panel} panel */
export function diskView(panel) {
  const { keep, model, redraw, state, t } = panel;
  const measured = keep("disk", () => new Fetched(() => model.loadDisk().then(() => true), redraw));
  const { disk } = state;
  if (disk) return html`<div class="disk">${pictureView(panel, disk)} ${ownersView(panel, disk)} ${cleanUpView(panel)}</div>`;
  return html`<div class="disk" aria-busy="true">
    ${measured.error === undefined ? html`<p>${t("disk.measuring")}</p>` : nothing}
    ${measured.view(panel, () => nothing)}
  </div>`;
}

/** @param {Panel} panel @param {Disk} disk */
function pictureView(panel, disk) {
  const { t, format, ui } = panel;
  const parts = partsOf(disk);
  const room = roomOn(disk);
  return html`<section class="disk-picture">
    <div class="disk-head">
      <h2>${t("disk.used", { size: format.bytes(disk.used_bytes) })}</h2>
      <p class="quiet disk-measured">
        <span>${t("disk.measured", { ago: format.ago(disk.measured_at) })}</span>
        ${button({ label: t(ui.isMeasuring ? "disk.measuring_again" : "disk.measure"), icon: "rebuild", onClick: measureAgain(panel) })}
      </p>
    </div>
    <p class="quiet mono path">${disk.root}</p>
    ${parts.length ? storeBar(panel, parts, disk) : html`<p>${t("disk.empty")}</p>`}
    ${legend(panel, parts)}
    ${room ? roomBar(panel, room) : nothing}
    ${room && room.free < LITTLE_BYTES ? note("warning", t("disk.little", { free: format.bytes(room.free) })) : nothing}
  </section>`;
}

/** @param {Panel} panel */
function measureAgain(panel) {
  const { act, model, redraw, t, ui } = panel;
  return act(async () => {
    ui.isMeasuring = true;
    redraw();
    try {
      await model.loadDisk(true);
    } finally {
      ui.isMeasuring = false;
      redraw();
    }
  }, t("disk.measured_now"));
}

/** @param {Panel} panel @param {Part[]} parts @param {Disk} disk */
function storeBar({ t, format }, parts, disk) {
  const said = (/** @type {Part["kind"]} */ kind) => format.bytes(bytesOf(parts, kind));
  const label = t("disk.picture", {
    used: format.bytes(disk.used_bytes),
    alone: said("environment"),
    shared: said("shared"),
    caches: said("cache"),
  });
  return html`<div class="disk-bar" role="img" aria-label=${label}>
    ${parts.map((part) => {
      const name = part.owner ? nameOf(part.owner, t) : t("disk.shared");
      return html`<i
        class="disk-part is-${part.kind}"
        title="${name}: ${format.bytes(part.bytes)}"
        .style=${`flex-grow: ${part.bytes / disk.used_bytes}`}
      ></i>`;
    })}
  </div>`;
}

/** @param {Panel} panel @param {Part[]} parts */
function legend({ t, format }, parts) {
  const kinds = /** @type {const} */ (["environment", "shared", "cache", "other"]);
  return html`<ul class="disk-legend">
    ${kinds
      .filter((kind) => bytesOf(parts, kind) > 0)
      .map((kind) => html`<li><i class="disk-swatch is-${kind}"></i>${t(`disk.kind_${kind}`)} <b>${format.bytes(bytesOf(parts, kind))}</b></li>`)}
  </ul>`;
}

/** @param {Panel} panel @param {NonNullable<ReturnType<typeof roomOn>>} room */
function roomBar({ t, format }, { store, elsewhere, free, total }) {
  const label = t("disk.room", { free: format.bytes(free), total: format.bytes(total) });
  return html`<div class="disk-room">
    <div class="disk-bar is-thin" role="img" aria-label=${label}>
      <i class="disk-part is-store" title="${t("disk.here")}: ${format.bytes(store)}" .style=${`flex-grow: ${store / total}`}></i>
      <i class="disk-part is-elsewhere" title="${t("disk.elsewhere")}: ${format.bytes(elsewhere)}" .style=${`flex-grow: ${elsewhere / total}`}></i>
      <i class="disk-part is-free" title="${t("disk.free")}: ${format.bytes(free)}" .style=${`flex-grow: ${free / total}`}></i>
    </div>
    <p class="quiet" aria-hidden="true">${label}</p>
  </div>`;
}

/** @param {Panel} panel @param {Disk} disk */
function ownersView(panel, disk) {
  const { t } = panel;
  const owners = withOthersAsOne(disk.owners, t);
  if (owners.length === 0) return nothing;
  const sorted = owners.sort((one, other) => total(other) - total(one));
  const largest = Math.max(1, ...sorted.map(total));
  const columns = [t("disk.owner"), t("disk.alone"), t("disk.shared")];
  // The roles say what the elements are anyway, until a narrow panel lays them out as something else than a table.
  return html`<table class="disk-owners" role="table" aria-label=${t("disk.owners")}>
    <thead role="rowgroup">
      <tr role="row">${columns.map((name) => html`<th scope="col" role="columnheader">${name}</th>`)}</tr>
    </thead>
    <tbody role="rowgroup">${sorted.map((owner) => ownerRow(panel, owner, largest))}</tbody>
  </table>`;
}

/** What belongs to no environment and is no cache are many small things. @param {DiskOwner[]} owners @param {Panel["t"]} t */
function withOthersAsOne(owners, t) {
  const others = owners.filter(({ kind }) => kind === "other");
  const named = owners.filter(({ kind }) => kind !== "other");
  if (others.length === 0) return named;
  const name = `${t("disk.kind_other")} (${others.map((other) => other.name).join(", ")})`;
  const sum = (/** @type {"unique_bytes" | "shared_bytes"} */ part) => others.reduce((bytes, other) => bytes + other[part], 0);
  return [...named, { ...others[0], name, unique_bytes: sum("unique_bytes"), shared_bytes: sum("shared_bytes") }];
}

/** @param {Panel} panel @param {DiskOwner} owner @param {number} largest */
function ownerRow({ t, format }, owner, largest) {
  const width = (/** @type {number} */ bytes) => `inline-size: ${(100 * bytes) / largest}%`;
  return html`<tr role="row">
    <th scope="row" role="rowheader">
      <span class="disk-name">${nameOf(owner, t)}</span>
      ${owner.kind === "environment" ? html`<span class="quiet mono">${owner.name}</span>` : nothing}
      <span class="disk-row-bar" aria-hidden="true">
        <i class="disk-part is-${owner.kind}" .style=${width(owner.unique_bytes)}></i
        ><i class="disk-part is-shared" .style=${width(owner.shared_bytes)}></i>
      </span>
    </th>
    <td role="cell" data-column=${t("disk.alone")}>${format.bytes(owner.unique_bytes)}</td>
    <td role="cell" data-column=${t("disk.shared")}>${format.bytes(owner.shared_bytes)}</td>
  </tr>`;
}

/** @param {DiskOwner} owner */
function total({ unique_bytes, shared_bytes }) {
  return unique_bytes + shared_bytes;
}

/** @param {DiskOwner} owner @param {Panel["t"]} t */
function nameOf({ kind, name, packs }, t) {
  if (kind !== "environment") return name;
  return packs.length ? packs.join(", ") : t("disk.no_pack");
}
