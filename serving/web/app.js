// The page: takes a text, has it tagged, shows what came of it. State lives here, everything else is told.

import { ApiError, call, getJson, onKeyWanted, postJson } from "./api.js";
import { renderShares, renderStrip } from "./charts.js";
import { $, el, say } from "./dom.js";
import { download } from "./download.js";
import { has, language, switchLanguage, t, translate } from "./i18n.js";
import { allTags, isTagged, labelsOf, matches } from "./model.js";
import { length } from "./offsets.js";
import { renderParagraph } from "./paragraphs.js";

const SAMPLES = ["002_6bdb95c40ed31ae5.txt", "003_ddeb3b69ea9f442c.txt", "004_f2349a8e578e908b.txt"];
const SAMPLE_NAMES = {
  "zh-CN": ["闵行区：两会问答", "嘉定区：2022 年经委工作要点", "宝山区：大众创业万众创新实施方案"],
  en: ["Minhang: questions to the district", "Jiading: economic work plan 2022", "Baoshan: entrepreneurship scheme"],
};

const state = { labels: new Map(), found: null, filter: new Set(), working: null };

// What the user does.

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (text.trim()) tagText(t("pasted"), text);
  else problem(new Error(t("nothing")));
});
$("text").addEventListener("input", showSize);
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) tagFile(file);
  $("file").value = "";
});
$("sample").addEventListener("change", async () => {
  const place = SAMPLES.indexOf($("sample").value);
  if (place < 0) return;
  try {
    $("text").value = await (await call(`web/samples/${SAMPLES[place]}`)).text();
    showSize();
    await tagText(SAMPLE_NAMES[language()][place], $("text").value);
  } catch (error) {
    problem(error);
  }
});
for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    $("input").classList.toggle("over", type === "dragover");
    if (type === "drop" && event.dataTransfer.files.length) tagFile(event.dataTransfer.files[0]);
  });
}
$("stop").addEventListener("click", () => state.working?.abort());
$("again").addEventListener("click", () => {
  $("input").classList.remove("compact");
  $("input").scrollIntoView();
  $("text").focus();
  $("text").select();
});
$("clear").addEventListener("click", () => setFilter(new Set()));
$("furniture").addEventListener("change", renderList);
$("language").addEventListener("click", () => {
  switchLanguage();
  renderWords();
  render();
});
for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => download(button.dataset.download, state.found, state.labels).catch(problem));
}

// What the service does.

const tagText = (name, text) => tagDocument(name, "v1/tag-document", JSON.stringify({ text, name }), "application/json");

/** Its name tells the format: browsers know few media types, and not all the same. */
const tagFile = (file) => tagDocument(file.name, `v1/tag-document?filename=${encodeURIComponent(file.name.slice(-200))}`, file, "application/octet-stream");

async function tagDocument(name, path, body, type) {
  state.working?.abort();
  const working = new AbortController();
  state.working = working;
  const stopClock = showWorking(t("working", { name }));
  noProblem();
  try {
    const answer = await (await call(path, { method: "POST", body, type, signal: working.signal })).json();
    if (!answer.paragraphs.length) throw new Error(t("noParagraphs", { name }));
    state.found = { name, model: answer.model, paragraphs: answer.paragraphs, rejected: answer.rejected.length };
    state.filter = new Set();
    render();
    $("input").classList.add("compact");
    $("document-title").focus();
  } catch (error) {
    if (error.name !== "AbortError") problem(error);
  } finally {
    if (state.working === working) state.working = null;
    stopClock();
  }
}

const actions = {
  problem,
  /** Label id -> spans; asked once a paragraph, for a chip that is looked at is looked at again. */
  evidence(paragraph) {
    paragraph.evidence ??= askEvidence(paragraph.text).catch((error) => {
      paragraph.evidence = undefined;
      throw error;
    });
    return paragraph.evidence;
  },
  async correct(paragraph, correction) {
    const { name, model } = state.found;
    // The same again after an error has the same id, so that it is kept once.
    const same = paragraph.sent && JSON.stringify(paragraph.sent.correction) === JSON.stringify(correction);
    if (!same) paragraph.sent = { id: newId(), correction };
    const { id } = paragraph.sent;
    await postJson("v1/corrections", { corrections: [{ id, doc: name.slice(0, 200), text: paragraph.text, model: model.version, ...correction }] });
    paragraph.corrected = correction;
    noProblem();
    render();
    say(t("sent", { n: paragraph.index + 1 }));
    // A filter may have lost the paragraph with its tag.
    ($(`p${paragraph.index}`)?.querySelector(".edit") ?? $("document-title")).focus();
  },
};

/** crypto.randomUUID is missing on pages that do not come by HTTPS. */
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

async function askEvidence(text) {
  const { results } = await postJson("v1/tag", { paragraphs: [{ id: "0", text }], explain: true });
  const tags = [...(results[0].instruments ?? []), ...(results[0].industries ?? [])];
  return Object.fromEntries(tags.map((tag) => [tag.id, tag.evidence ?? []]));
}

onKeyWanted((refused) => new Promise((resolve) => {
  if (refused) problem(refused);
  else noProblem();
  const form = $("key-form");
  form.hidden = false;
  $("key").value = "";
  $("key").focus();
  const done = (key) => {
    form.hidden = true;
    resolve(key);
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    done($("key").value.trim());
  };
  $("key-cancel").onclick = () => done(null);
}));

// What is shown.

function problem(error) {
  const text = error instanceof ApiError ? t(has(error.code) ? error.code : "failed", error) : error.message;
  const close = el("button", { type: "button", class: "plain", onclick: noProblem }, t("close"));
  $("problem").replaceChildren(el("span", {}, text), close);
  $("problem").hidden = false;
}

function noProblem() {
  $("problem").hidden = true;
}

/** Shows that something is under way; the function it gives hides that again, unless something else is. */
function showWorking(text) {
  const started = performance.now();
  const tick = () => ($("elapsed").textContent = t("seconds", { n: Math.floor((performance.now() - started) / 1000) }));
  $("working-text").textContent = text;
  $("working").hidden = false;
  $("empty").hidden = true;
  tick();
  const clock = setInterval(tick, 500);
  return () => {
    clearInterval(clock);
    $("working").hidden = !state.working;
    $("empty").hidden = state.found !== null;
  };
}

function showSize() {
  const n = length($("text").value);
  $("size").textContent = n ? t("size", { n: n.toLocaleString(language()) }) : "";
}

function renderWords() {
  translate();
  $("language").textContent = language() === "en" ? "中文" : "English";
  $("language").lang = language() === "en" ? "zh-CN" : "en";
  $("model").textContent = state.model ? t("model", { version: state.model }) : "";
  const names = SAMPLE_NAMES[language()];
  const sample = $("sample").value;
  $("sample").replaceChildren($("sample").options[0], ...SAMPLES.map((file, place) => el("option", { value: file }, names[place])));
  $("sample").value = sample;
  showSize();
}

function setFilter(filter) {
  state.filter = filter;
  render();
}

function toggleFilter(id) {
  const filter = new Set(state.filter);
  if (!filter.delete(id)) filter.add(id);
  setFilter(filter);
  document.querySelector(`[data-filter="${CSS.escape(id)}"]`)?.focus();
}

function render() {
  if (!state.found) return;
  const { paragraphs, name } = state.found;
  const tagged = paragraphs.filter(isTagged);
  $("result").hidden = false;
  $("empty").hidden = true;
  $("document-title").textContent = name;
  const chars = tagged.reduce((sum, paragraph) => sum + length(paragraph.text), 0).toLocaleString(language());
  const corrected = tagged.filter((paragraph) => paragraph.corrected).length;
  $("counts").textContent = [
    t("counts", { n: tagged.length, chars, untagged: tagged.filter((p) => !allTags(p).length).length }),
    ...(corrected ? [t("corrected", { n: corrected })] : []),
    ...(state.found.rejected ? [t("rejected", { n: state.found.rejected })] : []),
  ].join(" · ");
  renderShares($("shares"), paragraphs, state.labels, state.filter, toggleFilter);
  renderStrip($("strip"), paragraphs, state.labels, state.filter, (p) => matches(p, state.filter), (index) => {
    const item = $(`p${index}`);
    item?.scrollIntoView({ block: "center" });
    item?.focus({ preventScroll: true });
  });
  renderList();
}

function renderList() {
  const { paragraphs } = state.found;
  const tagged = paragraphs.filter(isTagged).length;
  const passing = paragraphs.filter((p) => (p.kind === "furniture" ? $("furniture").checked && !state.filter.size : matches(p, state.filter)));
  const items = [];
  let above = "";  // the heading path that a reader has just seen
  for (const paragraph of passing) {
    const path = paragraph.headings.join(" › ");
    if (paragraph.kind === "body" && path !== above && path) items.push(el("li", { class: "path" }, path));
    if (paragraph.kind !== "furniture") above = paragraph.kind === "heading" ? [...paragraph.headings, paragraph.text].join(" › ") : path;
    items.push(renderParagraph(paragraph, state.labels, actions));
  }
  $("list").replaceChildren(...items);
  $("none").hidden = passing.length > 0;
  $("shown").textContent = t("shown", { shown: passing.filter(isTagged).length, all: tagged });
  $("clear").hidden = !state.filter.size;
}

renderWords();
try {
  state.labels = labelsOf(await getJson("v1/taxonomy"));
  state.model = (await getJson("v1/model")).version;
  noProblem();
  renderWords();
} catch (error) {
  problem(error);
}
