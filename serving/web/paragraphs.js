// The list of paragraphs: text, tags, the words a tag rests on, and the form to correct them.

import { el, say } from "./dom.js";
import { nameOf, t } from "./i18n.js";
import { FACETS, allTags, isTagged, tagsOf } from "./model.js";
import { slices } from "./offsets.js";

/** Milliseconds that a tag is pointed at before its evidence is asked for: a pointer passing over asks for nothing. */
const PAUSE = 80;

/**
 * The element of a paragraph.
 *
 * actions.evidence(paragraph) resolves to label id -> spans; actions.correct(paragraph, chosen) sends a correction and
 * throws if it is not taken; actions.problem(error) shows what went wrong.
 */
export function renderParagraph(paragraph, labels, actions) {
  const item = el("li", { id: `p${paragraph.index}`, class: `paragraph ${paragraph.kind}`, value: paragraph.index + 1, tabindex: "-1" });
  const text = el("p", { class: "text" }, paragraph.text);
  item.append(el("span", { class: "number", "aria-hidden": "true" }, String(paragraph.index + 1)), text);
  if (paragraph.error) item.append(el("p", { class: "soft" }, paragraph.error.message));
  if (!isTagged(paragraph)) return item;
  const foot = el("div", { class: "foot" });
  const show = evidenceOf(paragraph, text, labels, actions);
  const chips = Object.values(FACETS).flatMap((key) => tagsOf(paragraph, key).map((tag) => chip(tag, labels.get(tag.id), show)));
  if (chips.length) foot.append(el("ul", { class: "tags" }, ...chips.map((button) => el("li", {}, button))));
  if (paragraph.corrected) foot.append(el("span", { class: "badge" }, t("isCorrected")));
  if (paragraph.truncated) foot.append(el("span", { class: "soft" }, t("truncated")));
  const edit = el("button", { type: "button", class: "plain edit", "aria-label": t("correctLabel", { n: paragraph.index + 1 }), "aria-expanded": "false" }, t("correct"));
  edit.addEventListener("click", () => toggleEditor(item, edit, paragraph, labels, actions));
  item.append(foot, edit);
  return item;
}

function chip(tag, label, show) {
  const score = tag.score === null ? "" : tag.score.toFixed(2);
  const button = el("button", { type: "button", class: `tag ${label.facet} ${label.colour}`, "data-tag": label.id }, nameOf(label));
  if (score) button.append(" ", el("small", {}, score));
  // A tag that only a person gave rests on no words of the model.
  if (score) {
    button.addEventListener("pointerenter", () => show(label, true));
    for (const event of ["focus", "click"]) button.addEventListener(event, () => show(label, true, say));
    for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => show(label, false));
  }
  return button;
}

/** A function that shows or hides, in the paragraph's text, what a tag rests on. */
function evidenceOf(paragraph, text, labels, actions) {
  let wanted = null;
  return async (label, on, tell = () => {}) => {
    wanted = on ? label.id : null;
    if (!on) {
      text.replaceChildren(paragraph.text);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    if (wanted !== label.id) return;
    try {
      const spans = (await actions.evidence(paragraph))[label.id] ?? [];
      if (wanted !== label.id) return;
      const pieces = slices(paragraph.text, spans);
      text.replaceChildren(...pieces.map((piece) => (piece.weight ? mark(piece, label) : piece.text)));
      const words = pieces.filter((piece) => piece.weight).map((piece) => piece.text).join("、");
      tell(words ? t("evidence", { name: nameOf(label), words }) : t("noEvidence", { name: nameOf(label) }));
    } catch (error) {
      if (wanted === label.id) actions.problem(error);
    }
  };
}

function mark(piece, label) {
  return el("mark", { class: `${label.colour} ${piece.weight >= 0.25 ? "strong" : ""}` }, piece.text);
}

function toggleEditor(item, edit, paragraph, labels, actions) {
  const open = item.querySelector("form");
  edit.setAttribute("aria-expanded", String(!open));
  if (open) {
    open.remove();
    return;
  }
  const chosen = new Set(allTags(paragraph).map((tag) => tag.id));
  const groups = Object.entries(FACETS).map(([facet, key]) =>
    el("fieldset", {}, el("legend", {}, t(key)), ...[...labels.values()].filter((label) => label.facet === facet).map((label) => choice(label, chosen.has(label.id)))),
  );
  const close = () => {
    form.remove();
    edit.setAttribute("aria-expanded", "false");
    edit.focus();
  };
  const send = el("button", { type: "submit", class: "primary" }, t("send"));
  const form = el("form", { class: "editor", "aria-label": t("correctLabel", { n: paragraph.index + 1 }) }, ...groups,
    el("div", { class: "row" }, send, el("button", { type: "button", class: "plain", onclick: close }, t("cancel"))));
  form.addEventListener("keydown", (event) => event.key === "Escape" && close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const picked = new Set(new FormData(form).getAll("label"));
    const correction = {};
    for (const key of Object.values(FACETS)) correction[key] = [...labels.values()].filter((label) => label.key === key && picked.has(label.id)).map((label) => label.id);
    send.disabled = true;
    try {
      await actions.correct(paragraph, correction);
    } catch (error) {
      actions.problem(error);
      send.disabled = false;
    }
  });
  item.append(form);
  form.querySelector("input").focus();
}

function choice(label, checked) {
  const box = el("input", { type: "checkbox", name: "label", value: label.id, checked });
  return el("label", { class: `choice ${label.colour}`, title: label.definition }, box, el("i", { class: "swatch" }), nameOf(label));
}
