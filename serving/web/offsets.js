// The service counts characters as Unicode code points, JavaScript counts UTF-16 units: 「𠮷」 is one there, two here.

/** Cuts a text at spans: [{ text, weight }], weight 0 outside all spans. Spans are sorted and do not overlap. */
export function slices(text, spans) {
  const points = Array.from(text);
  const pieces = [];
  let last = 0;
  const add = (end, weight) => {
    if (end > last) pieces.push({ text: points.slice(last, end).join(""), weight });
    last = Math.max(last, end);
  };
  for (const { start, end, weight } of spans) {
    add(start, 0);
    add(end, weight);
  }
  add(points.length, 0);
  return pieces;
}

/** Characters as the service counts them. */
export function length(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
