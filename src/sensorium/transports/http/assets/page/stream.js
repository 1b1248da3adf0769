// A streaming operation of this server, its items as they come.

import { Problem } from "./api.js";

const base = new URL("../", import.meta.url);

/**
 * Call a streaming operation; resolves, once it has begun, to the items. Rejects with a Problem, or
 * with an AbortError after `signal`; so do the items, where it fails on the way.
 */
export async function open(path, document, { key, signal } = {}) {
  const headers = { "content-type": "application/json" };
  if (key) headers.authorization = `Bearer ${key}`;
  const response = await reached(fetch(new URL(path, base), { method: "POST", headers, body: JSON.stringify(document), signal }));
  if (!response.ok) throw new Problem(response.status, await response.json().catch(() => ({})));
  return items(response.body.pipeThrough(new TextDecoderStream()).getReader());
}

async function* items(reader) {
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reached(reader.read());
      if (done) throw new Problem(0, { detail: "The answer was cut off on its way." });
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line) continue; // the server is still there
        const { chunk, error, end } = JSON.parse(line);
        if (error) throw new Problem(0, { ...error, detail: error.message });
        if (end) return;
        yield chunk;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function reached(work) {
  try {
    return await work;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "The connection to the server is lost. Is it still running?" });
  }
}
