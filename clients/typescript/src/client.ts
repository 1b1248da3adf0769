/** The client over HTTP. */

import { InvalidInputError } from "./errors.js";
import { type AnyFallback, type Fallback, type Fallbacks, withFallback } from "./fallback.js";
import { type Server, call } from "./http.js";
import type { Arguments, Nouns, OperationName, Outcome, RequestOf } from "./operations.js";
import type { CallOptions } from "./options.js";
import type { paths } from "./schema.js";

export interface Settings<P = paths> {
  /** Such as `http://127.0.0.1:8484`. */
  url: string;
  key?: string | undefined;
  timeoutMs?: number;
  /** How often a call is tried again, where that does no harm. */
  retries?: number;
  /** In place of the global one. */
  fetch?: typeof fetch;
  fallback?: Fallbacks<P>;
}

export interface Options<N extends string, P = paths> extends CallOptions {
  /** Answers where the server is away; before the one in the client's settings. */
  fallback?: Fallback<N, P>;
}

/** Called over HTTP; a listening operation is not, because a browser's `fetch` cannot do both. */
type Called<P> = OperationName<P, "unary" | "stream">;
type CallArguments<N extends string, P> = Arguments<RequestOf<N, P>, Options<N, P>>;
type Methods<P> = { [N in Called<P>]: (...given: CallArguments<N, P>) => Outcome<N, P> };

class Client<P> {
  readonly #server: Server;
  readonly #fallbacks: Partial<Record<string, unknown>>;

  constructor(settings: Settings<P>) {
    this.#server = {
      url: addressOf(settings.url),
      key: settings.key,
      retries: settings.retries ?? 3,
      timeoutMs: settings.timeoutMs,
      fetch: settings.fetch ?? ((...given) => fetch(...given)),
    };
    this.#fallbacks = settings.fallback ?? {};
    return withNouns(this);
  }

  /**
   * Call an operation by its name: await the answer, or iterate over its items.
   *
   * The call is made at once. Only the server knows its kind, so what comes back is both.
   */
  call<N extends Called<P>>(name: N, ...given: CallArguments<N, P>): Outcome<N, P> {
    const [request = {}, options = {}] = given as [object?, Options<N, P>?];
    const fallback = (options.fallback ?? this.#fallbacks[name]) as AnyFallback | undefined;
    const answer = withFallback(() => call(this.#server, name, request, options), fallback, request);
    const items = answer as Promise<AsyncIterable<object>>;
    const iterable = { [Symbol.asyncIterator]: () => later(items) };
    return Object.assign(answer, iterable) as unknown as Outcome<N, P>;
  }
}

/** A server's operations; `P` is the `paths` of its OpenAPI document, where it has more. */
export type Sensorium<P = paths> = Client<P> & Nouns<Called<P>, Methods<P>>;
export const Sensorium = Client as unknown as new <P = paths>(settings: Settings<P>) => Sensorium<P>;

async function* later(items: Promise<AsyncIterable<object>>): AsyncGenerator<object> {
  yield* await items;
}

/** The client with `client.logs.cluster(…)` for `client.call("logs.cluster", …)`. */
function withNouns<P>(client: Client<P>): Client<P> {
  const call = client.call.bind(client) as (name: string, ...given: unknown[]) => unknown;
  const verbsOf = (noun: string): object =>
    named((verb) => (...given: unknown[]) => call(`${noun}.${verb}`, ...given));
  return named((noun) => (noun === "call" ? call : verbsOf(noun))) as Client<P>;
}

/** An object with a property for every name, save that by which a promise is known. */
function named(make: (name: string) => unknown): object {
  return new Proxy(
    {},
    { get: (_, name) => (typeof name === "symbol" || name === "then" ? undefined : make(name)) },
  );
}

function addressOf(url: string): string {
  if (/^https?:\/\/[^/]/.test(url)) return url.replace(/\/+$/, "");
  throw new InvalidInputError(
    `${url} is not a server's address; one looks like http://127.0.0.1:8484`,
  );
}
