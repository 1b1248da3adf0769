/** Memory on a device, leased for as long as it is wanted. */

import type { Sensorium } from "./client.js";
import { NotFoundError } from "./errors.js";
import type { AnswerOf, RequestOf } from "./operations.js";

/** Leased memory; it is renewed until it is released. */
export interface Allocation {
  /** `cpu`, `nvidia:0`, … */
  readonly device: string;
  readonly sizeBytes: number;
  /** Aborted when it was taken back, for a higher priority or because the server forgot it. */
  readonly lost: AbortSignal;
  /** Give it back. */
  release(): Promise<void>;
}

export interface AllocationRequest {
  sizeBytes: number;
  /** Any of these; left out: any there is. */
  devices?: string[];
  /** 0 to 100; the higher goes first. */
  priority?: number;
  /** After how long without a renewal it ends, such as when this program dies. */
  durationS?: number;
  /** How long to wait until there is so much. */
  waitS?: number;
  /** Take it from idle models, and from leases of lower priority. */
  preempt?: boolean;
  purpose?: string;
}

/**
 * Lease memory on a device; waits, takes from others or fails as `request` says.
 *
 * @throws OverloadedError where there is not so much now.
 */
export async function allocateResources(
  sensorium: Pick<Sensorium, "call">,
  request: AllocationRequest,
): Promise<Allocation> {
  const durationS = request.durationS ?? 60;
  const lease: AnswerOf<"resources.lease"> = await sensorium.call("resources.lease", {
    size_bytes: request.sizeBytes,
    duration_s: durationS,
    devices: request.devices ?? [],
    priority: request.priority ?? 50,
    wait_s: request.waitS ?? 0,
    preempt: request.preempt ?? false,
    purpose: request.purpose ?? "",
  } satisfies RequestOf<"resources.lease">);
  const lost = new AbortController();
  const timer = setInterval(() => void renew(), (durationS * 1000) / 3);
  (timer as { unref?: () => void }).unref?.(); // under Node, it keeps no program alive

  async function renew(): Promise<void> {
    try {
      await sensorium.call("resources.renew", { lease: lease.lease, duration_s: durationS });
    } catch (error) {
      if (!(error instanceof NotFoundError)) return; // the next renewal may come through
      clearInterval(timer);
      lost.abort(error);
    }
  }

  async function release(): Promise<void> {
    clearInterval(timer);
    if (!lost.signal.aborted) await sensorium.call("resources.release", { lease: lease.lease });
  }

  return {
    device: lease.device,
    sizeBytes: lease.size_bytes,
    lost: lost.signal,
    release,
  };
}
