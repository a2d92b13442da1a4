// The HTTP service: JSON out, JSON in, its error envelope as exceptions. Knows nothing of the page but how to ask for a key.

const KEY = "policytag.key";

/** An answer that is not a success, or none at all (status 0). */
export class ApiError extends Error {
  constructor(status, code, message, retryAfter = 1) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter; // seconds
  }
}

let askForKey = async () => null;

/** How to get a key when the server wants one: ask(error if it refused one) resolves to a key, or null to give up. */
export function onKeyWanted(ask) {
  askForKey = ask;
}

/** Calls a route and gives the Response. Throws ApiError; an AbortSignal's AbortError passes through. */
export async function call(path, { method = "GET", body, type, signal } = {}) {
  for (;;) {
    const headers = {};
    if (type) headers["Content-Type"] = type;
    const key = sessionStorage.getItem(KEY);
    if (key) headers.Authorization = `Bearer ${key}`;
    let answer;
    try {
      answer = await fetch(path, { method, body, headers, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, "unreachable", "");
    }
    if (answer.ok) return answer;
    const error = await readError(answer);
    if (answer.status !== 401) throw error;
    sessionStorage.removeItem(KEY);
    const given = await askForKey(key ? error : null);
    if (!given) throw error;
    sessionStorage.setItem(KEY, given);
  }
}

export const getJson = async (path) => (await call(path)).json();

export const postJson = async (path, value, signal) =>
  (await call(path, { method: "POST", body: JSON.stringify(value), type: "application/json", signal })).json();

async function readError(answer) {
  try {
    const { error } = await answer.json();
    return new ApiError(answer.status, error.code, error.message, Number(answer.headers.get("Retry-After")) || 1);
  } catch {
    return new ApiError(answer.status, "http", answer.statusText);
  }
}
