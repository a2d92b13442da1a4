// The page: takes a text, has it tagged, shows what came of it. State lives here, everything else is told.

import { ApiError, call, getJson, onKeyWanted, postJson } from "./api.js";
import { renderShares, renderStrip } from "./charts.js";
import { $, el, say } from "./dom.js";
import { download } from "./download.js";
import { has, language, switchLanguage, t, translate } from "./i18n.js";
import { allTags, isPending, isTagged, labelsOf, matches } from "./model.js";
import { length } from "./offsets.js";
import { ParagraphList } from "./paragraphs.js";
import { findEvidence, read, tagAll } from "./tagging.js";

const SAMPLES = ["002_6bdb95c40ed31ae5.txt", "003_ddeb3b69ea9f442c.txt", "004_f2349a8e578e908b.txt"];
const SAMPLE_NAMES = {
  "zh-CN": ["闵行区：两会问答", "嘉定区：2022 年经委工作要点", "宝山区：大众创业万众创新实施方案"],
  en: ["Minhang: questions to the district", "Jiading: economic work plan 2022", "Baoshan: entrepreneurship scheme"],
};

/** found is the document: { name, model, paragraphs, rejected }; working is what is under way: an AbortController. */
const state = { labels: new Map(), model: null, found: null, filter: new Set(), working: null };

// What the user does.

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (text.trim()) tag(t("pasted"), text);
  else problem(new Error(t("nothing")));
});
$("text").addEventListener("input", showSize);
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) tag(file.name, file);
  $("file").value = "";
});
$("sample").addEventListener("change", async () => {
  const place = SAMPLES.indexOf($("sample").value);
  if (place < 0) return;
  try {
    $("text").value = await (await call(`web/samples/${SAMPLES[place]}`)).text();
    showSize();
    await tag(SAMPLE_NAMES[language()][place], $("text").value);
  } catch (error) {
    problem(error);
  }
});
for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    $("input").classList.toggle("over", type === "dragover");
    const [file] = event.dataTransfer.files;
    if (type === "drop" && file) tag(file.name, file);
  });
}
$("stop").addEventListener("click", () => state.working?.abort());
$("go-on").addEventListener("click", () => work(t("reading", state.found), tagRest));
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
  list.translate();
  render();
});
window.addEventListener("beforeunload", (event) => list.unsent && event.preventDefault());
for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => download(button.dataset.download, state.found, state.labels).catch(problem));
}

// What the service does.

/** Tags a text or a file. */
function tag(name, source) {
  if (list.unsent && !confirm(t("unsent"))) return;
  return work(t("reading", { name }), async (signal) => {
    await learn();
    const { paragraphs, rejected } = await read(source, signal);
    if (!paragraphs.length) throw new Error(t("noParagraphs", { name }));
    for (const paragraph of paragraphs) paragraph.chars = length(paragraph.text);
    state.found = { name, model: null, paragraphs, rejected: rejected.length };
    state.filter = new Set();
    list.show(paragraphs, state.labels);
    render();
    $("input").classList.add("compact");
    $("document-title").focus();
    await tagRest(signal);
  });
}

/** Tags what is not tagged yet. */
async function tagRest(signal) {
  const { found } = state;
  $("working-text").textContent = t("working", found);
  renderProgress();
  await tagAll(found, state.model.recipe.max_chars, signal, (part) => {
    list.update(part);
    render();
    renderProgress();
  });
  say(t("done", found));
}

/** Does one thing that takes long, shows that it is under way and what came in between; the one before is given up. */
async function work(text, task) {
  state.working?.abort();
  const working = new AbortController();
  state.working = working;
  const hide = showWorking(text);
  noProblem();
  render();
  try {
    await task(working.signal);
  } catch (error) {
    if (!working.signal.aborted) problem(error);
  } finally {
    if (state.working === working) state.working = null;
    hide();
    render();
  }
}

/** Asks for the labels and the model: they may be others than when the page was opened. */
async function learn() {
  state.labels = labelsOf(await getJson("v1/taxonomy"));
  state.model = await getJson("v1/model");
  renderWords();
}

const list = new ParagraphList($("list"), {
  problem,
  /** Asked once a paragraph, for a tag that is looked at is looked at again. */
  evidence(paragraph) {
    paragraph.evidence ??= findEvidence(paragraph, state.model.recipe.max_chars).catch((error) => {
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
    await postJson("v1/corrections", { corrections: [{ id, doc: name.slice(0, 200).toWellFormed(), text: paragraph.text, model: model.version, ...correction }] });
    paragraph.corrected = correction;
  },
  corrected(paragraph) {
    noProblem();
    list.update([paragraph]);
    render();
    say(t("sent", { n: paragraph.index + 1 }));
    // A filter may have lost the paragraph with its tag.
    const item = $(`p${paragraph.index}`);
    (item.hidden ? $("document-title") : item.querySelector(".edit")).focus();
  },
});

/** crypto.randomUUID is missing on pages that do not come by HTTPS. */
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

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
  $("progress").removeAttribute("value");
  $("done-so-far").textContent = "";
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

function renderProgress() {
  const wanted = state.found.paragraphs.filter((paragraph) => paragraph.kind !== "furniture");
  const done = wanted.length - wanted.filter(isPending).length;
  $("progress").max = wanted.length;
  $("progress").value = done;
  $("done-so-far").textContent = t("progress", { done: done.toLocaleString(language()), all: wanted.length.toLocaleString(language()) });
}

function showSize() {
  const n = length($("text").value);
  $("size").textContent = n ? t("size", { n: n.toLocaleString(language()) }) : "";
}

function renderWords() {
  translate();
  $("language").textContent = language() === "en" ? "中文" : "English";
  $("language").lang = language() === "en" ? "zh-CN" : "en";
  $("model").textContent = state.model ? t("model", state.model) : "";
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
  const { paragraphs, name, rejected } = state.found;
  $("result").hidden = false;
  $("empty").hidden = true;
  $("document-title").textContent = name;
  const wanted = paragraphs.filter((paragraph) => paragraph.kind !== "furniture");
  const chars = wanted.reduce((sum, paragraph) => sum + paragraph.chars, 0).toLocaleString(language());
  const untagged = wanted.filter((paragraph) => isTagged(paragraph) && !allTags(paragraph).length).length;
  const corrected = wanted.filter((paragraph) => paragraph.corrected).length;
  $("counts").textContent = [
    t("counts", { n: wanted.length.toLocaleString(language()), chars, untagged: untagged.toLocaleString(language()) }),
    ...(corrected ? [t("corrected", { n: corrected })] : []),
    ...(rejected ? [t("rejected", { n: rejected })] : []),
  ].join(" · ");
  const pending = wanted.filter(isPending).length;
  $("rest").hidden = !pending || state.working !== null;
  $("rest-text").textContent = t("rest", { n: pending.toLocaleString(language()) });
  for (const button of document.querySelectorAll("[data-download]")) button.disabled = state.working !== null;
  renderShares($("shares"), paragraphs, state.labels, state.filter, toggleFilter);
  renderStrip($("strip"), paragraphs, state.labels, state.filter, (p) => matches(p, state.filter), (index) => {
    const item = $(`p${index}`);
    item.scrollIntoView({ block: "center" });
    item.focus({ preventScroll: true });
  });
  renderList();
}

function renderList() {
  const furniture = $("furniture").checked && !state.filter.size;
  const shown = list.filter((p) => (p.kind === "furniture" ? furniture : matches(p, state.filter)));
  const all = state.found.paragraphs.filter((paragraph) => paragraph.kind !== "furniture").length;
  $("none").hidden = shown > 0 || furniture;
  $("shown").textContent = t("shown", { shown: shown.toLocaleString(language()), all: all.toLocaleString(language()) });
  $("clear").hidden = !state.filter.size;
}

renderWords();
try {
  await learn();
  noProblem();
} catch (error) {
  problem(error);
}
