/** What a caller may say of a call beside its request. */

import { DeadlineExceededError, type SensoriumError } from "./errors.js";

export interface CallOptions {
  /** Aborting it ends the call here, with the signal's own reason, and the work on the server. */
  signal?: AbortSignal;
  /** Shortens the operation's own deadline on the server. */
  deadlineS?: number;
  /** `batch` lets others go first. */
  priority?: "interactive" | "batch";
  /** What changes something is made once per key, however often it is asked for. */
  idempotencyKey?: string;
  /** How long to wait here, for an answer or between two items; see also `deadlineS`. */
  timeoutMs?: number;
}

export const TIMEOUT_MS = 65_000;
const GRACE_S = 5;

/** How long to wait: beyond a deadline a little more, for the server's own word that it is over. */
export function limitMs(options: CallOptions, usual = TIMEOUT_MS): number {
  const { deadlineS, timeoutMs } = options;
  if (timeoutMs !== undefined || deadlineS === undefined) return timeoutMs ?? usual;
  return 1000 * (deadlineS + Math.min(GRACE_S, deadlineS));
}

/** An abort signal of the caller's and a time limit, as one (AbortSignal.any is too new). */
export class Limit {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #follow = (): void => this.#controller.abort(this.#outer?.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(outer: AbortSignal | undefined) {
    this.#outer = outer;
    if (outer?.aborted) this.#follow();
    outer?.addEventListener("abort", this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Abort in so long, unless something else is said before. */
  within(ms: number, error: SensoriumError): void {
    this.unlimited();
    this.#timer = setTimeout(() => this.#controller.abort(error), ms);
  }

  /** No limit for now; the caller's signal still counts. */
  unlimited(): void {
    clearTimeout(this.#timer);
  }

  end(): void {
    this.unlimited();
    this.#outer?.removeEventListener("abort", this.#follow);
  }
}

/** What is thrown where an answer did not come in time. */
export function late(ms: number): DeadlineExceededError {
  return new DeadlineExceededError(`no answer came within ${ms / 1000} s`);
}
