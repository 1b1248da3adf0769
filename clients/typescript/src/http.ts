/** How a call looks on HTTP, and what a server's answer means. */

import {
  MalformedInputError,
  NotSupportedError,
  ServerAwayError,
  type SensoriumError,
  fromBody,
} from "./errors.js";
import { type CallOptions, Limit, late, limitMs } from "./options.js";
import { Retriable, withRetries } from "./retries.js";
import { type Body, itemsOf } from "./stream.js";

/** Where a server is and how it is called. */
export interface Server {
  url: string;
  key: string | undefined;
  retries: number;
  timeoutMs: number | undefined;
  fetch: typeof fetch;
}

/** A Problem of RFC 9457, as far as it is read. */
interface Problem {
  code: string;
  detail: string;
  details?: Record<string, unknown>;
  request_id?: string;
}

/** What a call came to, if not to an error: all of it, or the beginning of a stream. */
type Reply = { answer: object } | { body: Body };

/**
 * Call an operation; the server's answer says whether it comes at once or as a stream.
 *
 * Every call carries an idempotency key, which the server heeds where the operation changes
 * something; so all may be made again after a lost connection.
 */
export async function call(
  server: Server,
  name: string,
  request: object,
  options: CallOptions,
): Promise<object | AsyncGenerator<object>> {
  const limit = new Limit(options.signal);
  const waitMs = limitMs(options, server.timeoutMs);
  limit.within(waitMs, late(waitMs));
  const asked: RequestInit = {
    method: "POST",
    headers: headersOf(server, options),
    body: JSON.stringify(request),
    redirect: "manual", // or the key would follow
    signal: limit.signal,
  };
  let streams = false;
  try {
    const url = `${server.url}/v1/${name.replace(".", "/")}`;
    const reply = await withRetries(
      () => attempt(server, url, asked, limit.signal),
      server.retries,
      limit.signal,
    );
    if ("answer" in reply) return reply.answer;
    streams = true;
    return itemsOf(reply.body, limit, waitMs);
  } finally {
    if (!streams) limit.end();
  }
}

async function attempt(
  server: Server,
  url: string,
  asked: RequestInit,
  signal: AbortSignal,
): Promise<Reply> {
  let response: Response;
  let text: string;
  try {
    response = await server.fetch(url, asked);
    const type = response.headers.get("content-type") ?? "";
    if (response.status === 200 && type.startsWith("application/x-ndjson")) {
      return { body: response.body as Body };
    }
    text = await response.text();
  } catch (failure) {
    signal.throwIfAborted();
    throw new Retriable(
      new ServerAwayError(`no answer from ${server.url}: ${reasonOf(failure)}`, { cause: failure }),
    );
  }
  if (response.status !== 200) throw refusal(response, text);
  try {
    return { answer: JSON.parse(text) as object };
  } catch {
    throw foreign(response.status);
  }
}

function headersOf(server: Server, options: CallOptions): Record<string, string> {
  return {
    "content-type": "application/json",
    "idempotency-key": options.idempotencyKey ?? newKey(),
    ...(server.key === undefined ? {} : { authorization: `Bearer ${server.key}` }),
    ...(options.deadlineS === undefined ? {} : { "x-deadline-s": String(options.deadlineS) }),
    ...(options.priority === undefined ? {} : { "x-priority": options.priority }),
  };
}

/** Unlikely to come twice is enough, and `crypto` is not everywhere: not in Node 18, nor on http. */
function newKey(): string {
  return Array.from({ length: 4 }, () => Math.random().toString(36).slice(2, 10)).join("");
}

/** What a refused call throws: a Retriable if the server says when to come again. */
function refusal(response: Response, text: string): Retriable | SensoriumError {
  let problem: Problem;
  try {
    problem = JSON.parse(text) as Problem;
    if (typeof problem.code !== "string") throw new SyntaxError();
  } catch {
    return foreign(response.status);
  }
  const { code, detail: message, details = {}, request_id: requestId } = problem;
  if (response.status === 400) return new MalformedInputError(message, { details, requestId });
  const after = response.headers.get("retry-after") ?? "";
  const body = { code, message, details };
  const asked = /^\d+$/.test(after) ? { retry_after_s: Number(after) } : {};
  const error = fromBody({ ...body, ...asked }, requestId);
  const comesAgain = response.status === 429 || response.status === 503;
  return comesAgain && error.retryAfterS !== undefined ? new Retriable(error) : error;
}

/** Another program answered: a gateway before a server that is away, or one at a wrong address. */
function foreign(status: number): SensoriumError {
  const said = `HTTP ${status} came back, and not in the way that Sensorium answers`;
  const details = { status };
  if (status >= 502 && status <= 504) return new ServerAwayError(said, { details });
  return new NotSupportedError(`${said}: check the server's address`, { details });
}

/** The system's word, which `fetch` hides below its own. */
export function reasonOf(failure: unknown): string {
  const cause = failure instanceof Error ? (failure.cause ?? failure) : failure;
  if (!(cause instanceof Error)) return String(cause);
  const { code } = cause as { code?: unknown };
  return cause.message || String(code ?? cause.name); // of several addresses none has a message
}
