/** What a language model of a tier answers in a conversation. */

import type { Sensorium } from "./client.js";
import { NotFoundError, type SensoriumError } from "./errors.js";
import { type Fallback, isFallback } from "./fallback.js";
import type { AnswerOf, RequestOf } from "./operations.js";
import type { CallOptions } from "./options.js";
import type { paths } from "./schema.js";

type Request = RequestOf<"chat.stream">;
type Chunk = AnswerOf<"chat.stream">;
type Told = NonNullable<Chunk["told"]>;

/** What was said so far, oldest first: `{ role: "user", content: "…" }`. */
export type Messages = Request["messages"];

export interface ResponseOptions extends CallOptions {
  /** What the model is told before all else. */
  system?: string;
  maxTokens?: number;
  /** 0: always the likeliest text. */
  temperature?: number;
  /** Whatever else `chat.stream` takes, such as `{ seed: 7, stop: ["\n"] }`. */
  settings?: Omit<Request, "model" | "messages">;
  /** Called with each piece of the text as it comes. */
  onText?: (text: string) => void;
  /** Answers where the server is away; else the client's own fallback for `chat.stream` does. */
  fallback?: (messages: Messages, error: SensoriumError) => string | Promise<string>;
}

/** A whole answer. */
export interface GeneratedResponse {
  readonly text: string;
  /** What the model thought before it said that. */
  readonly reasoning: string;
  /** The model that stands for the tier; "" where a fallback answered. */
  readonly model: string;
  /** `length` where the answer was cut off at `maxTokens`. */
  readonly finish: string;
  readonly usage: Told["usage"] | undefined;
  readonly timing: Told["timing"] | undefined;
  /** Whether this is the fallback's answer and no model's. */
  readonly isFallback: boolean;
}

/**
 * Ask the model that stands for a tier, such as `fast` or `smart`.
 *
 * A tier is one of the server's `model_aliases` (`SENSORIUM_MODEL_ALIASES=fast=org/small,…`); a
 * model's own name does too. With `stream` the pieces of the text are iterated; leaving the loop, or
 * aborting `signal`, ends the work on the server.
 *
 * @throws NotFoundError where the server knows no such tier; it says which it knows.
 */
export function generateResponse(
  sensorium: Pick<Sensorium, "call">,
  tier: string,
  messages: Messages,
  options: ResponseOptions & { stream: true },
): AsyncGenerator<string, GeneratedResponse>;
export function generateResponse(
  sensorium: Pick<Sensorium, "call">,
  tier: string,
  messages: Messages,
  options?: ResponseOptions & { stream?: false },
): Promise<GeneratedResponse>;
export function generateResponse(
  sensorium: Pick<Sensorium, "call">,
  tier: string,
  messages: Messages,
  options: ResponseOptions & { stream?: boolean } = {},
): AsyncGenerator<string, GeneratedResponse> | Promise<GeneratedResponse> {
  const { stream = false, ...others } = options;
  const pieces = piecesOf(sensorium, tier, messages, others);
  return stream ? pieces : whole(pieces);
}

async function whole(
  pieces: AsyncGenerator<string, GeneratedResponse>,
): Promise<GeneratedResponse> {
  for (;;) {
    const { value, done } = await pieces.next();
    if (done === true) return value;
  }
}

async function* piecesOf(
  sensorium: Pick<Sensorium, "call">,
  tier: string,
  messages: Messages,
  options: ResponseOptions,
): AsyncGenerator<string, GeneratedResponse> {
  let [text, reasoning, finish, stoodIn] = ["", "", "", false];
  let told: Told | undefined;
  for await (const chunk of chunksOf(sensorium, tier, messages, options)) {
    stoodIn ||= isFallback(chunk);
    reasoning += chunk.reasoning ?? "";
    finish = chunk.finish || finish;
    told = chunk.told ?? told;
    const piece = chunk.text ?? "";
    if (piece === "") continue;
    text += piece;
    options.onText?.(piece);
    options.signal?.throwIfAborted(); // what has arrived already would still come
    yield piece;
  }
  return {
    text,
    reasoning,
    model: told?.model ?? "",
    finish,
    usage: told?.usage,
    timing: told?.timing,
    isFallback: stoodIn,
  };
}

async function* chunksOf(
  sensorium: Pick<Sensorium, "call">,
  tier: string,
  messages: Messages,
  options: ResponseOptions,
): AsyncGenerator<Chunk, void> {
  const { system, maxTokens, temperature, settings, onText: _, fallback, ...call } = options;
  const request: Request = {
    ...settings,
    model: tier,
    messages: system === undefined ? messages : [{ role: "system", content: system }, ...messages],
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    ...(temperature === undefined ? {} : { temperature }),
  };
  try {
    yield* sensorium.call("chat.stream", request, {
      ...call,
      ...(fallback === undefined ? {} : { fallback: inPieces(fallback) }),
    });
  } catch (error) {
    throw error instanceof NotFoundError ? await unknownTier(sensorium, tier, error) : error;
  }
}

/** A fallback of `chat.stream` that answers in one piece. */
function inPieces(
  fallback: NonNullable<ResponseOptions["fallback"]>,
): Fallback<"chat.stream", paths> {
  return async function* (request, error) {
    yield { text: await fallback(request.messages, error), finish: "stop" };
  };
}

/** What to say where a tier's name is not known; the server's own word where it is. */
async function unknownTier(
  sensorium: Pick<Sensorium, "call">,
  tier: string,
  error: NotFoundError,
): Promise<NotFoundError> {
  const listed = await sensorium.call("models.list", {}).catch(() => undefined);
  const aliases = listed?.aliases ?? {};
  if (listed === undefined || tier in aliases) return error;
  const known = Object.keys(aliases).sort().join(", ");
  return new NotFoundError(
    `there is no tier '${tier}' here; the server's model_aliases know: ${known}`,
    { details: error.details, requestId: error.requestId, cause: error },
  );
}
