// What is known of the tagged document: pure functions of data, no elements.

import { length } from "./offsets.js";

export const FACETS = { instrument: "instruments", industry: "industries" };

/** The labels of a taxonomy by id, each with its facet's key and the class of its colour. */
export function labelsOf(taxonomy) {
  return new Map(
    taxonomy.labels.map((label, column) => [label.id, { ...label, key: FACETS[label.facet], colour: `c${column % 18}` }]),
  );
}

/** Whether a paragraph was tagged: not page furniture, and no error of its own. */
export const isTagged = (paragraph) => paragraph.kind !== "furniture" && !paragraph.error;

/** A paragraph's tags of a facet, as corrected: [{ id, score }], score null where a person said so. */
export function tagsOf(paragraph, key) {
  const found = paragraph[key] ?? [];
  if (!paragraph.corrected) return found;
  const scores = new Map(found.map((tag) => [tag.id, tag.score]));
  return paragraph.corrected[key].map((id) => ({ id, score: scores.get(id) ?? null }));
}

export const allTags = (paragraph) => Object.values(FACETS).flatMap((key) => tagsOf(paragraph, key));

/** Label id -> { paragraphs, share }: how many carry it, and their part of the tagged text, 0 to 1. */
export function shares(paragraphs) {
  const tagged = paragraphs.filter(isTagged);
  const total = tagged.reduce((sum, paragraph) => sum + length(paragraph.text), 0);
  const found = new Map();
  for (const paragraph of tagged) {
    for (const { id } of allTags(paragraph)) {
      const entry = found.get(id) ?? { paragraphs: 0, share: 0 };
      entry.paragraphs += 1;
      entry.share += length(paragraph.text) / total;
      found.set(id, entry);
    }
  }
  return found;
}

/** Whether a paragraph passes a filter: any of its label ids; "" stands for no tags. */
export function matches(paragraph, filter) {
  if (!filter.size) return true;
  const tags = allTags(paragraph);
  return isTagged(paragraph) && (tags.length ? tags.some((tag) => filter.has(tag.id)) : filter.has(""));
}
