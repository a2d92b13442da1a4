// What is known of the tagged document: pure functions of data, no elements. A paragraph is what the service answered,
// with chars, its length, and corrected, what a person said: { instruments, industries }.

export const FACETS = { instrument: "instruments", industry: "industries" };

/** The labels of a taxonomy by id, each with its facet's key and the class of its colour. */
export function labelsOf(taxonomy) {
  return new Map(
    taxonomy.labels.map((label, column) => [label.id, { ...label, key: FACETS[label.facet], colour: `c${column % 18}` }]),
  );
}

/** Whether a paragraph was tagged: not page furniture, no error of its own, and not waiting for its turn. */
export const isTagged = (paragraph) => paragraph.kind !== "furniture" && Boolean(paragraph.instruments);

/** Whether a paragraph waits for its tags. */
export const isPending = (paragraph) => paragraph.kind !== "furniture" && !paragraph.instruments && !paragraph.error;

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
  const total = tagged.reduce((sum, paragraph) => sum + paragraph.chars, 0);
  const found = new Map();
  for (const paragraph of tagged) {
    for (const { id } of allTags(paragraph)) {
      const entry = found.get(id) ?? { paragraphs: 0, share: 0 };
      entry.paragraphs += 1;
      entry.share += paragraph.chars / total;
      found.set(id, entry);
    }
  }
  return found;
}

/** The label ids that most text of the paragraphs has, of those of a facet that pass a filter; "" stands for no tags. */
export function mainLabel(paragraphs, key, filter) {
  const chars = new Map();
  for (const paragraph of paragraphs) {
    for (const { id } of tagsOf(paragraph, key)) {
      if (!filter.size || filter.has(id) || filter.has("")) chars.set(id, (chars.get(id) ?? 0) + paragraph.chars);
    }
  }
  return [...chars].reduce((best, entry) => (best && best[1] >= entry[1] ? best : entry), null)?.[0];
}

/** Neighbouring paragraphs in at most some `most` groups of about as much text each; one a group if they are fewer. */
export function groups(paragraphs, most) {
  const total = paragraphs.reduce((sum, { chars }) => sum + chars, 0);
  const enough = paragraphs.length <= most ? 0 : total / most;
  const found = [];
  for (const paragraph of paragraphs) {
    const last = found.at(-1);
    if (last && last.chars < enough) {
      last.paragraphs.push(paragraph);
      last.chars += paragraph.chars;
    } else found.push({ paragraphs: [paragraph], chars: paragraph.chars });
  }
  return found;
}

/** Whether a paragraph passes a filter: any of its label ids; "" stands for no tags. */
export function matches(paragraph, filter) {
  if (!filter.size) return true;
  const tags = allTags(paragraph);
  return isTagged(paragraph) && (tags.length ? tags.some((tag) => filter.has(tag.id)) : filter.has(""));
}
