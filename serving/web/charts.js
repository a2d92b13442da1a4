// The chart of a document: bars of its tags, which filter too, and a strip of its paragraphs.

import { el } from "./dom.js";
import { nameOf, percent, t } from "./i18n.js";
import { FACETS, allTags, isTagged, shares, tagsOf } from "./model.js";
import { length } from "./offsets.js";

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

/** Two rows of cells, one a paragraph, coloured by its first tag of each facet; a click calls onPick(index). */
export function renderStrip(root, paragraphs, labels, filter, passes, onPick) {
  const tagged = paragraphs.filter(isTagged);
  const rows = Object.values(FACETS).map((key) => {
    const cells = tagged.map((paragraph) => {
      const [first] = tagsOf(paragraph, key).filter(({ id }) => !filter.size || filter.has(id) || filter.has(""));
      const label = first && labels.get(first.id);
      const title = `${paragraph.index + 1} ${label ? nameOf(label) : t("noTags")}`;
      const cell = el("i", { class: `${label ? label.colour : "none"} ${passes(paragraph) ? "" : "dim"}`, title, "data-index": paragraph.index });
      cell.style.flexGrow = length(paragraph.text);
      return cell;
    });
    return el("div", { class: "strip" }, ...cells);
  });
  const pick = (event) => event.target.dataset.index && onPick(Number(event.target.dataset.index));
  root.replaceChildren(el("div", { role: "img", "aria-label": t("stripAbout"), onclick: pick }, ...rows), el("p", { class: "soft" }, t("stripAbout")));
}
