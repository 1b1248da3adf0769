/** The items of an answer in NDJSON, as they come. */

import { type ErrorBody, NotSupportedError, ServerAwayError, fromBody } from "./errors.js";
import type { Limit } from "./options.js";

export type Body = ReadableStream<Uint8Array>;

/** An empty line, which keeps a still connection alive every 15 s, is no item. */
interface Line {
  chunk?: object;
  end?: object;
  error?: ErrorBody;
}

/**
 * The items; leaving them closes the connection, which is how a server learns to stop.
 *
 * Each read has as long as the whole call had before it.
 */
export async function* itemsOf(
  body: Body,
  limit: Limit,
  silenceMs: number,
): AsyncGenerator<object, void> {
  const reader = body.getReader();
  try {
    for await (const text of linesOf(reader, limit, silenceMs)) {
      const line = parsed(text);
      if (line.error !== undefined) throw fromBody(line.error);
      if (line.end !== undefined) return;
      if (line.chunk !== undefined) yield line.chunk;
    }
    throw new ServerAwayError("the connection was lost in the middle of the stream");
  } finally {
    limit.end();
    reader.cancel().catch(() => undefined); // a connection that broke cannot be closed again
  }
}

async function* linesOf(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  limit: Limit,
  silenceMs: number,
): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let begun = "";
  for (;;) {
    limit.within(silenceMs, new ServerAwayError(`nothing came for ${silenceMs / 1000} s`));
    const { value, done } = await reader.read().catch((failure: unknown) => {
      limit.signal.throwIfAborted();
      throw new ServerAwayError("the connection was lost in the middle of the stream", {
        cause: failure,
      });
    });
    limit.unlimited(); // the caller may take its time with an item
    if (done) return;
    const [rest = "", ...lines] = decoder.decode(value, { stream: true }).split("\n");
    begun += rest;
    for (const line of lines) {
      if (begun !== "") yield begun;
      begun = line;
    }
  }
}

function parsed(line: string): Line {
  try {
    return JSON.parse(line) as Line;
  } catch {
    throw new NotSupportedError("a line of the answer is not JSON; is one of us a newer version?");
  }
}
