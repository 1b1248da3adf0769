/** What is answered in a server's place while it is away. */

import { SensoriumError, UnavailableError } from "./errors.js";
import type { AnswerOf, OperationName, Outcome, RequestOf } from "./operations.js";

/** Answers in the server's place; `error` says why it is asked. */
export type Fallback<N extends string, P> = (
  request: RequestOf<N, P>,
  error: SensoriumError,
) => Outcome<N, P> extends Promise<unknown>
  ? AnswerOf<N, P> | Promise<AnswerOf<N, P>>
  : AsyncIterable<AnswerOf<N, P>>;

/** By operation; those that are not named have none. */
export type Fallbacks<P> = {
  [N in OperationName<P, "unary" | "stream">]?: Fallback<N, P>;
};

/** One whose operation is not known any more. */
export type AnyFallback = (request: object, error: SensoriumError) => unknown;

const answers = new WeakSet<object>();

/** Whether this answer, or this item of a stream, is a fallback's and not a server's. */
export function isFallback(answer: object): boolean {
  return answers.has(answer);
}

/**
 * What `call` answers, or `fallback` where the server is away or says that it is unavailable.
 *
 * Any other error, such as that of a wrong request or key, is the caller's to hear.
 */
export async function withFallback(
  call: () => Promise<object>,
  fallback: AnyFallback | undefined,
  request: object,
): Promise<object> {
  try {
    return await call();
  } catch (error) {
    if (fallback === undefined || !(error instanceof UnavailableError)) throw error;
    const answer = (await fallback(request, error)) as object;
    return Symbol.asyncIterator in answer
      ? allMarked(answer as AsyncIterable<object>)
      : marked(answer);
  }
}

/** A copy, because what a fallback returns may be a server's earlier answer, kept by the caller. */
function marked(answer: object): object {
  const copy = { ...answer };
  answers.add(copy);
  return copy;
}

async function* allMarked(items: AsyncIterable<object>): AsyncGenerator<object> {
  for await (const item of items) yield marked(item);
}
