// The document as a file. CSV and JSON are made here, XLSX by the service.

import { ApiError, call } from "./api.js";
import { nameOf, t } from "./i18n.js";
import { FACETS, isPending, isTagged, tagsOf } from "./model.js";

/** Saves the document in a format: csv, xlsx or json. */
export async function download(format, found, labels) {
  const content = await MAKERS[format](found, labels);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = `${found.name.replace(/\.\w{1,8}$/, "").replace(/[\\/:*?"<>|\u0000-\u001f]/g, "_")}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const MAKERS = {
  csv: async (found, labels) => {
    const lines = table(found, labels).map((row) => row.map(csvCell).join(","));
    return new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], { type: "text/csv;charset=utf-8" });
  },
  json: async ({ name, model, paragraphs }) => {
    const rows = paragraphs.filter((paragraph) => !isPending(paragraph)).map(({ sent, evidence, chars, ...p }) => ({
      ...p, instruments: tagsOf(p, "instruments"), industries: tagsOf(p, "industries"), corrected: Boolean(p.corrected),
    }));
    return new Blob([JSON.stringify({ name, model, paragraphs: rows }, null, 2)], { type: "application/json" });
  },
  xlsx: async (found, labels) => {
    const [columns, ...rows] = table(found, labels);
    const body = JSON.stringify({ columns, rows });
    try {
      return await (await call("v1/table", { method: "POST", body, type: "application/json" })).blob();
    } catch (error) {
      throw error.status === 413 ? new ApiError(413, "table_too_large", error.message) : error;
    }
  },
};

/** Head and rows, all of them text but the paragraph's number. */
function table({ paragraphs }, labels) {
  const names = (paragraph, key) => tagsOf(paragraph, key).map(({ id }) => nameOf(labels.get(id)));
  const scores = (paragraph) =>
    Object.values(FACETS).flatMap((key) => tagsOf(paragraph, key)).filter(({ score }) => score !== null).map(({ id, score }) => `${id}=${score}`);
  const head = ["col_index", "col_headings", "col_text", "instruments", "industries", "col_scores", "isCorrected"].map((key) => t(key));
  const rows = paragraphs.filter(isTagged).map((p) => [
    p.index + 1, p.headings.join(" › "), p.text, names(p, "instruments").join("；"), names(p, "industries").join("；"),
    scores(p).join("；"), p.corrected ? "1" : "",
  ]);
  return [head, ...rows];
}

/** A spreadsheet takes a cell that begins with = + - @ for a formula; an apostrophe before it says that it is text. */
function csvCell(value) {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
