/** The tree of errors: a class for each of the server's codes, named as in Python. */

/** An error as data: what the envelope and a streamed answer carry. */
export interface ErrorBody {
  code: string;
  message: string;
  details?: Record<string, unknown>;
  retry_after_s?: number;
}

/** What an error may hold beside its message. */
export interface ErrorMore {
  details?: Record<string, unknown> | undefined;
  retryAfterS?: number | undefined;
  requestId?: string | undefined;
  cause?: unknown;
}

/** Something went wrong inside the server; its log has the details under the request id. */
export class SensoriumError extends Error {
  static readonly code: string = "internal";
  /** The same through every door, so safe to compare with. */
  readonly code: string;
  readonly details: Record<string, unknown>;
  /** When the server asks to be tried again. */
  readonly retryAfterS: number | undefined;
  readonly requestId: string | undefined;

  constructor(message: string, more: ErrorMore = {}) {
    super(message, more.cause === undefined ? {} : { cause: more.cause });
    this.name = new.target.name;
    this.code = new.target.code;
    this.details = more.details ?? {};
    this.retryAfterS = more.retryAfterS;
    this.requestId = more.requestId;
  }
}

/** The request does not fit what this operation takes. */
export class InvalidInputError extends SensoriumError {
  static override readonly code: string = "invalid_input";
}

/** The request is not readable in the format that it says it is in. */
export class MalformedInputError extends InvalidInputError {}

/** This server wants an API key. */
export class UnauthenticatedError extends SensoriumError {
  static override readonly code = "unauthenticated";
}

/** This key may not do that. */
export class ForbiddenError extends SensoriumError {
  static override readonly code = "forbidden";
}

/** There is nothing of that name. */
export class NotFoundError extends SensoriumError {
  static override readonly code = "not_found";
}

/** The request contradicts one that was made before. */
export class ConflictError extends SensoriumError {
  static override readonly code = "conflict";
}

/** The request is larger than this server takes. */
export class PayloadTooLargeError extends SensoriumError {
  static override readonly code = "payload_too_large";
}

/** This key calls more often than it may; wait and try again. */
export class RateLimitedError extends SensoriumError {
  static override readonly code = "rate_limited";
}

/** The server has as much waiting as it takes; wait and try again. */
export class OverloadedError extends SensoriumError {
  static override readonly code = "overloaded";
}

/** The call was cancelled before it was done. */
export class CancelledCallError extends SensoriumError {
  static override readonly code = "cancelled";
}

/** The call was not done within its deadline. */
export class DeadlineExceededError extends SensoriumError {
  static override readonly code = "deadline_exceeded";
}

/** A part that this operation needs is down or missing. */
export class UnavailableError extends SensoriumError {
  static override readonly code: string = "unavailable";
}

/** The server itself cannot be reached, or was lost. Only this client says so, no server. */
export class ServerAwayError extends UnavailableError {}

/** This server does not do that. */
export class NotSupportedError extends SensoriumError {
  static override readonly code = "not_supported";
}

const BY_CODE = new Map(
  [
    InvalidInputError,
    UnauthenticatedError,
    ForbiddenError,
    NotFoundError,
    ConflictError,
    PayloadTooLargeError,
    RateLimitedError,
    OverloadedError,
    CancelledCallError,
    DeadlineExceededError,
    UnavailableError,
    NotSupportedError,
  ].map((kind) => [kind.code, kind] as const),
);

/** The error that a body describes; a code from a newer server becomes `internal`. */
export function fromBody(body: ErrorBody, requestId?: string): SensoriumError {
  const { details: { malformed, ...details } = {}, retry_after_s: retryAfterS } = body;
  const Kind = malformed === true ? MalformedInputError : (BY_CODE.get(body.code) ?? SensoriumError);
  return new Kind(body.message, { details, retryAfterS, requestId });
}
