/** When a call is tried again, and after how long. */

import type { SensoriumError } from "./errors.js";

const FIRST_S = 0.25;
/** Neither our own waits grow beyond it, nor do we wait longer when a server asks for more. */
const LONGEST_S = 10;

/** A try failed, and trying again does no harm. */
export class Retriable {
  constructor(readonly error: SensoriumError) {}
}

/**
 * What `attempt` returns, tried again up to `retries` times while it is worth it.
 *
 * Waits double from a quarter of a second, are drawn at random from their upper half so that many
 * clients do not come back at once, and are never shorter than the server's Retry-After.
 */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  retries: number,
  signal: AbortSignal,
): Promise<T> {
  for (let number = 0; ; number++) {
    try {
      return await attempt();
    } catch (failed) {
      if (!(failed instanceof Retriable)) throw failed;
      const askedS = failed.error.retryAfterS ?? 0;
      if (number >= retries || askedS > LONGEST_S) throw failed.error;
      const waitS = Math.min(LONGEST_S, FIRST_S * 2 ** number) * between(0.5, 1);
      await pause(1000 * Math.max(waitS, askedS * between(1, 1.1)), signal);
    }
  }
}

function between(low: number, high: number): number {
  return low + Math.random() * (high - low);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
