// The list of paragraphs: text, tags, the words a tag rests on, and the form to correct them.
//
// An item stays the same element as long as its document is shown: tags arrive in it, filters hide it. So whatever a
// reader does in one item, nothing that happens elsewhere takes it away. Items stand in blocks, which the browser lays out
// when they come into view.

import { el, say } from "./dom.js";
import { nameOf, t } from "./i18n.js";
import { FACETS, allTags, isPending, isTagged } from "./model.js";
import { slices } from "./offsets.js";

/** Milliseconds that a tag is pointed at before its evidence is asked for: a pointer passing over asks for nothing. */
const PAUSE = 80;
/** Items of a block: of some hundred blocks a browser keeps in mind which are in view, of ten thousand items not. */
const BLOCK = 50;

/** The list of a document's paragraphs. */
export class ParagraphList {
  /**
   * actions.evidence(paragraph) resolves to label id -> spans; actions.correct(paragraph, correction) sends a correction
   * and throws if it is not taken, actions.corrected(paragraph) is told when its editor is closed again;
   * actions.problem(error) shows what went wrong.
   */
  constructor(root, actions) {
    this.root = root;
    this.actions = actions;
    this.items = [];
    this.blocks = [];
    for (const [type, on, tell] of [["pointerover", true], ["pointerout", false], ["focusin", true, say], ["focusout", false], ["click", true, say]]) {
      root.addEventListener(type, (event) => this.onTag(event, on, tell));
    }
    root.addEventListener("click", (event) => {
      const button = event.target.closest(".edit");
      if (button) this.itemOf(button).toggleEditor();
    });
  }

  /** Shows another document. */
  show(paragraphs, labels) {
    this.items = paragraphs.map((paragraph) => new Item(paragraph, labels, this.actions));
    this.blocks = [];
    for (let start = 0; start < this.items.length; start += BLOCK) {
      const items = this.items.slice(start, start + BLOCK);
      this.blocks.push({ items, element: el("div", { class: "block", role: "presentation" }, ...items.map((item) => item.element)) });
    }
    this.root.replaceChildren(...this.blocks.map((block) => block.element));
  }

  /** Writes anew what is known of these paragraphs. */
  update(paragraphs) {
    for (const { index } of paragraphs) this.items[index].update();
  }

  /** Writes everything anew, in another language. */
  translate() {
    for (const item of this.items) item.translate();
  }

  /** Shows the paragraphs that pass, and those that are being corrected; gives how many. */
  filter(passes) {
    let above = ""; // the heading path that a reader has just seen
    let shown = 0;
    for (const item of this.items) {
      const { paragraph } = item;
      const passing = passes(paragraph) || item.form !== null;
      const path = paragraph.headings.join(" › ");
      item.show(passing, passing && paragraph.kind === "body" && path !== above ? path : "");
      if (!passing || paragraph.kind === "furniture") continue;
      above = paragraph.kind === "heading" ? [...paragraph.headings, paragraph.text].join(" › ") : path;
      shown += 1;
    }
    for (const { element, items } of this.blocks) {
      const height = items.reduce((sum, item) => sum + (item.element.hidden ? 0 : item.height), 0);
      element.hidden = !height;
      element.style.containIntrinsicBlockSize = `${height}rem`;
    }
    return shown;
  }

  /** Whether something was chosen that was not sent. */
  get unsent() {
    return this.items.some((item) => item.form && !sameSet(item.picked(), item.tagIds()));
  }

  itemOf(node) {
    return this.items[node.closest(".paragraph").dataset.index];
  }

  onTag(event, on, tell) {
    // A tag that only a person gave rests on no words of the model.
    const tag = event.target.closest(".tag[data-scored]");
    if (tag && !(event.relatedTarget && tag.contains(event.relatedTarget))) this.itemOf(tag).mark(tag.dataset.tag, on, tell);
  }
}

class Item {
  constructor(paragraph, labels, actions) {
    Object.assign(this, { paragraph, labels, actions, form: null, wanted: null });
    const { index, kind, text } = paragraph;
    this.path = el("p", { class: "path", hidden: true });
    this.text = el("p", { class: "text" }, text);
    this.inside = el("div", { class: "inside" }, el("span", { class: "number", "aria-hidden": "true" }, String(index + 1)), this.text);
    this.element = el("div", { role: "listitem", id: `p${index}`, class: `paragraph ${kind}`, tabindex: "-1", "data-index": index }, this.path, this.inside);
    this.update();
  }

  /** About how high it is, in rem. */
  get height() {
    return 4 + 1.7 * Math.ceil(this.paragraph.chars / 46);
  }

  update() {
    const { paragraph } = this;
    this.element.classList.toggle("pending", isPending(paragraph));
    this.foot?.remove();
    this.foot = this.edit = null;
    if (paragraph.error) this.foot = el("p", { class: "soft" }, paragraph.error.message);
    else if (isTagged(paragraph)) this.foot = this.newFoot();
    if (this.foot) this.text.after(this.foot);
  }

  translate() {
    this.update();
    if (this.form) this.openEditor(this.picked());
  }

  newFoot() {
    const { paragraph } = this;
    const foot = el("div", { class: "foot" });
    const tags = allTags(paragraph).map((tag) => el("li", {}, newTag(tag, this.labels.get(tag.id))));
    if (tags.length) foot.append(el("ul", { class: "tags" }, ...tags));
    if (paragraph.corrected) foot.append(el("span", { class: "badge" }, t("isCorrected")));
    if (paragraph.truncated) foot.append(el("span", { class: "soft" }, t("truncated")));
    this.edit = el("button", { type: "button", class: "plain edit", "aria-label": t("correctLabel", { n: paragraph.index + 1 }), "aria-expanded": this.form !== null }, t("correct"));
    foot.append(this.edit);
    return foot;
  }

  show(on, path) {
    if (this.element.hidden === on) this.element.hidden = !on;
    if (this.path.textContent === path) return;
    this.path.textContent = path;
    this.path.hidden = !path;
  }

  /** Shows or hides, in the text, what a tag rests on. */
  async mark(id, on, tell = () => {}) {
    this.wanted = on ? id : null;
    if (!on) {
      this.text.replaceChildren(this.paragraph.text);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    if (this.wanted !== id) return;
    const label = this.labels.get(id);
    try {
      const spans = (await this.actions.evidence(this.paragraph))[id] ?? [];
      if (this.wanted !== id) return;
      const pieces = slices(this.paragraph.text, spans);
      this.text.replaceChildren(...pieces.map((piece) => (piece.weight ? newMark(piece, label) : piece.text)));
      const words = pieces.filter((piece) => piece.weight).map((piece) => piece.text).join("、");
      tell(words ? t("evidence", { name: nameOf(label), words }) : t("noEvidence", { name: nameOf(label) }));
    } catch (error) {
      if (this.wanted === id) this.actions.problem(error);
    }
  }

  toggleEditor() {
    if (this.form) {
      this.closeEditor();
      return;
    }
    this.openEditor(this.tagIds());
    this.form.querySelector("input").focus();
  }

  /** The form with these labels chosen; one that is open already is written anew. */
  openEditor(chosen) {
    const sending = this.send?.disabled ?? false;
    this.form?.remove();
    const groups = Object.entries(FACETS).map(([facet, key]) =>
      el("fieldset", {}, el("legend", {}, t(key)), ...[...this.labels.values()].filter((label) => label.facet === facet).map((label) => newChoice(label, chosen.has(label.id)))),
    );
    this.send = el("button", { type: "submit", class: "primary", disabled: sending }, t("send"));
    const cancel = el("button", { type: "button", class: "plain", onclick: () => this.closeEditor() }, t("cancel"));
    this.form = el("form", { class: "editor", "aria-label": t("correctLabel", { n: this.paragraph.index + 1 }) }, ...groups, el("div", { class: "row" }, this.send, cancel));
    this.form.addEventListener("keydown", (event) => event.key === "Escape" && this.closeEditor());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.inside.append(this.form);
    this.edit?.setAttribute("aria-expanded", "true");
  }

  closeEditor() {
    this.form?.remove();
    this.form = this.send = null;
    this.edit?.setAttribute("aria-expanded", "false");
    this.edit?.focus();
  }

  async submit() {
    const picked = this.picked();
    const correction = {};
    for (const key of Object.values(FACETS)) correction[key] = [...this.labels.values()].filter((label) => label.key === key && picked.has(label.id)).map((label) => label.id);
    this.send.disabled = true;
    try {
      await this.actions.correct(this.paragraph, correction);
      this.closeEditor();
      this.actions.corrected(this.paragraph);
    } catch (error) {
      this.actions.problem(error);
      if (this.send) this.send.disabled = false;
    }
  }

  picked() {
    return new Set(new FormData(this.form).getAll("label"));
  }

  tagIds() {
    return new Set(allTags(this.paragraph).map((tag) => tag.id));
  }
}

function newTag({ score }, label) {
  const tag = el("button", { type: "button", class: `tag ${label.facet} ${label.colour}`, "data-tag": label.id }, nameOf(label));
  if (score !== null) {
    tag.dataset.scored = "";
    tag.append(" ", el("small", {}, score.toFixed(2)));
  }
  return tag;
}

function newMark(piece, label) {
  return el("mark", { class: `${label.colour} ${piece.weight >= 0.25 ? "strong" : ""}` }, piece.text);
}

function newChoice(label, checked) {
  const box = el("input", { type: "checkbox", name: "label", value: label.id, checked });
  return el("label", { class: `choice ${label.colour}`, title: label.definition }, box, el("i", { class: "swatch" }), nameOf(label));
}

const sameSet = (one, other) => one.size === other.size && [...one].every((value) => other.has(value));
