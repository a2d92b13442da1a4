// A document's way through the service: cut into paragraphs, then tagged some at a time. Knows no elements.

import { call, postJson } from "./api.js";
import { isPending } from "./model.js";

/** Paragraphs of the first request, so that the first tags are there at once, and of the others. */
const FIRST = 32;
const MOST = 256;
/** Characters of a request: what other people ask is not kept waiting for long. */
const MOST_CHARS = 100_000;
/** How often in a row a busy server is asked again. */
const PATIENCE = 10;

/** Cuts a text or a file: { document, paragraphs, rejected }. A file's name tells its format: browsers know few types. */
export async function read(source, signal) {
  const answer = source instanceof File
    ? await call(`v1/paragraphs?filename=${encodeURIComponent(source.name.slice(-200).toWellFormed())}`, { method: "POST", body: source, type: "application/octet-stream", signal })
    : await call("v1/paragraphs", { method: "POST", body: JSON.stringify({ text: source.toWellFormed() }), type: "application/json", signal });
  return answer.json();
}

/**
 * Tags what is not tagged yet of found.paragraphs, in order, all by one model, and writes it into them.
 *
 * onPart(paragraphs) is told of each part. found.model is the model; maxChars is what it reads of a paragraph.
 */
export async function tagAll(found, maxChars, signal, onPart) {
  for (let part; (part = nextPart(found.paragraphs)).length; ) {
    const body = { paragraphs: part.map((paragraph) => ({ id: String(paragraph.index), text: readable(paragraph.text, maxChars) })) };
    const { model, results } = await patiently(() => postJson("v1/tag", body, signal), signal);
    if (found.model && found.model.version !== model.version) {
      // Another model was promoted meanwhile: a document is tagged by one.
      for (const paragraph of found.paragraphs) untag(paragraph);
    }
    found.model = model;
    results.forEach(({ id, ...answer }, place) => Object.assign(part[place], answer));
    onPart(part);
  }
}

/** Label id -> spans: what each tag of a paragraph rests on. */
export async function findEvidence(paragraph, maxChars) {
  const text = readable(paragraph.text, maxChars);
  const { results } = await postJson("v1/tag", { paragraphs: [{ id: "0", text }], explain: true });
  const tags = [...(results[0].instruments ?? []), ...(results[0].industries ?? [])];
  return Object.fromEntries(tags.map((tag) => [tag.id, tag.evidence ?? []]));
}

function nextPart(paragraphs) {
  const start = paragraphs.findIndex(isPending);
  const part = [];
  if (start < 0) return part;
  const most = paragraphs.slice(0, start).every((paragraph) => paragraph.kind === "furniture") ? FIRST : MOST;
  for (let place = start, chars = 0; place < paragraphs.length && part.length < most; place += 1) {
    if (!isPending(paragraphs[place])) continue;
    chars += paragraphs[place].text.length;
    if (part.length && chars > MOST_CHARS) break;
    part.push(paragraphs[place]);
  }
  return part;
}

function untag(paragraph) {
  for (const key of ["instruments", "industries", "truncated", "evidence", "error"]) delete paragraph[key];
}

/** What the model reads of a text and a little more, so that it says that it was not all; each character is up to two units. */
const readable = (text, maxChars) => text.slice(0, 2 * maxChars + 2).toWellFormed();

async function patiently(ask, signal) {
  for (let left = PATIENCE; ; left -= 1) {
    try {
      return await ask();
    } catch (error) {
      if (error.status !== 429 || !left) throw error;
      await pause(error.retryAfter, signal);
    }
  }
}

const pause = (seconds, signal) =>
  new Promise((resolve, reject) => {
    const clock = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => (clearTimeout(clock), reject(signal.reason)), { once: true });
  });
