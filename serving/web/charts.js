// The chart of a document: bars of its tags, which filter too, and a strip of its paragraphs.

import { el } from "./dom.js";
import { nameOf, percent, t } from "./i18n.js";
import { FACETS, allTags, groups, isTagged, mainLabel, shares, tagsOf } from "./model.js";

/** Cells of a row, about: more would be narrower than can be told apart. */
const CELLS = 120;

/** One bar a tag that occurs, longest first: toggle buttons that call onFilter(id). */
export function renderShares(root, paragraphs, labels, filter, onFilter) {
  const found = shares(paragraphs);
  const untagged = paragraphs.filter((paragraph) => isTagged(paragraph) && !allTags(paragraph).length).length;
  root.replaceChildren(el("p", { class: "soft" }, t("shareAbout")));
  for (const key of Object.values(FACETS)) {
    const rows = [...found].filter(([id]) => labels.get(id)?.key === key).sort((a, b) => b[1].share - a[1].share);
    const bars = rows.map(([id, { paragraphs: n, share }]) => {
      const label = labels.get(id);
      const bar = el("span", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", share);
      const about = t("share", { name: nameOf(label), share: percent(share), n });
      const parts = [el("span", { class: "name" }, nameOf(label)), el("span", { class: "figure" }, percent(share)), bar];
      return toggle(id, `share ${label.colour}`, about, parts, filter, onFilter);
    });
    if (bars.length) root.append(el("h3", {}, t(key)), el("div", { class: "shares", role: "group", "aria-label": t(key) }, ...bars));
  }
  if (untagged) {
    const parts = [el("span", { class: "name" }, t("noTags")), el("span", { class: "figure" }, String(untagged))];
    root.append(toggle("", "share none", `${t("noTags")}: ${untagged}`, parts, filter, onFilter));
  }
}

function toggle(id, style, about, parts, filter, onFilter) {
  const pressed = filter.has(id);
  return el("button", { type: "button", class: style, title: about, "aria-label": about, "aria-pressed": pressed, "data-filter": id, onclick: () => onFilter(id) }, ...parts);
}

/** Two rows of cells, each some neighbouring paragraphs, in the colour of the tag of a facet that most of their text has. */
export function renderStrip(root, paragraphs, labels, filter, passes, onPick) {
  const cells = groups(paragraphs.filter((paragraph) => paragraph.kind !== "furniture"), CELLS);
  const single = cells.every((cell) => cell.paragraphs.length === 1);
  const rows = Object.values(FACETS).map((key) => el("div", { class: single ? "strip" : "strip dense" }, ...cells.map((cell) => newCell(cell, key, labels, filter, passes))));
  const pick = (event) => event.target.dataset.index && onPick(Number(event.target.dataset.index));
  const about = t(single ? "stripAbout" : "stripGroups");
  root.replaceChildren(el("div", { role: "img", "aria-label": about, onclick: pick }, ...rows), el("p", { class: "soft" }, about));
}

function newCell({ paragraphs, chars }, key, labels, filter, passes) {
  const label = labels.get(mainLabel(paragraphs, key, filter));
  const shown = paragraphs.filter(passes);
  const first = shown.find((paragraph) => label && tagsOf(paragraph, key).some(({ id }) => id === label.id)) ?? shown[0] ?? paragraphs[0];
  const numbers = paragraphs.length > 1 ? `${paragraphs[0].index + 1}–${paragraphs.at(-1).index + 1}` : String(paragraphs[0].index + 1);
  const name = label ? nameOf(label) : t(paragraphs.some(isTagged) ? "noTags" : "pending");
  const cell = el("i", { class: `${label ? label.colour : "none"} ${shown.length ? "" : "dim"}`, title: `${numbers} ${name}`, "data-index": first.index });
  cell.style.flexGrow = chars;
  return cell;
}
