// Elements without markup in strings: text can never become HTML.

export const $ = (id) => document.getElementById(id);

/** An element: el("li", { class: "tag", "aria-pressed": false, onclick: f }, "text", child). */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean" && !key.startsWith("aria-")) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Tells screen readers. */
export function say(text) {
  $("said").textContent = text;
}
