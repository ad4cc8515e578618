import type { CompletionFailed, ErrorCode } from "./schema.js";

/** What the service does not say itself: it could not be reached for as long as `retry` allows. */
export type ClientErrorCode = "CONNECTION_LOST";

export interface AssistantErrorDetails {
  isRetryable?: boolean | undefined;
  retryAfterMs?: number | null | undefined;
  completionId?: string | null | undefined;
  lastEventId?: string | null | undefined;
  extensions?: Readonly<Record<string, unknown>> | undefined;
  cause?: unknown;
}

/** Why there is no answer. Branch on `code`; `message` is for people. */
export class AssistantError extends Error {
  override readonly name = "AssistantError";
  readonly code: ErrorCode | ClientErrorCode;
  /** Whether the same request may succeed later. */
  readonly isRetryable: boolean;
  /** How long to wait first; null where nobody knows. */
  readonly retryAfterMs: number | null;
  /** The completion that failed, where there is one. */
  readonly completionId: string | null;
  /** The last event that was delivered: with CONNECTION_LOST, what `resume` goes on after. */
  readonly lastEventId: string | null;
  /** All that the service said beside the message, as in `inputPath` or a limit's window. */
  readonly extensions: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode | ClientErrorCode,
    message: string,
    details: AssistantErrorDetails = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.isRetryable = details.isRetryable ?? false;
    this.retryAfterMs = details.retryAfterMs ?? null;
    this.completionId = details.completionId ?? null;
    this.lastEventId = details.lastEventId ?? null;
    this.extensions = details.extensions ?? {};
  }
}

/**
 * @internal A connection is over, and another one may do better.
 *
 * Transports throw it for all that is worth another try, and AssistantError for what is not.
 * `isPlanned`: the service ended it and expects us at once. `error` is what the service said, and
 * what is thrown when there are no more tries.
 */
export class Interruption extends Error {
  override readonly name = "Interruption";
  readonly isPlanned: boolean;
  readonly retryAfterMs: number | null;
  readonly error: AssistantError | null;

  constructor(
    message: string,
    how: {
      isPlanned?: boolean;
      retryAfterMs?: number | null;
      error?: AssistantError;
      cause?: unknown;
    } = {},
  ) {
    super(message, how.cause === undefined ? undefined : { cause: how.cause });
    this.isPlanned = how.isPlanned ?? false;
    this.error = how.error ?? null;
    this.retryAfterMs = how.retryAfterMs ?? this.error?.retryAfterMs ?? null;
  }
}

/** @internal A failure that came as an event. */
export function errorOfEvent(event: CompletionFailed, lastEventId: string | null): AssistantError {
  return new AssistantError(event.code, event.message, {
    isRetryable: event.isRetryable,
    retryAfterMs: event.retryAfterMs,
    completionId: event.completionId,
    lastEventId,
  });
}

/**
 * @internal What the service says of an error, in whichever place: `{code, message, ...}` of
 * `/api/stream`, or an entry of GraphQL's `errors`. Null where it is neither.
 */
export function errorOfJson(json: unknown): AssistantError | null {
  if (!isObject(json) || typeof json["message"] !== "string") return null;
  const said = isObject(json["extensions"]) ? json["extensions"] : json;
  if (typeof said["code"] !== "string") return null;
  const { retryAfterMs, completionId, lastEventId } = said;
  return new AssistantError(said["code"] as ErrorCode, json["message"], {
    isRetryable: said["isRetryable"] === true,
    retryAfterMs: typeof retryAfterMs === "number" ? retryAfterMs : null,
    completionId: typeof completionId === "string" ? completionId : null,
    lastEventId: typeof lastEventId === "string" ? lastEventId : null,
    extensions: said,
  });
}

/** @internal `error` as a transport throws it: final, or worth another try. */
export function thrown(error: AssistantError): AssistantError | Interruption {
  if (!error.isRetryable) return error;
  return new Interruption(error.message, {
    isPlanned: error.code === "STREAM_INTERRUPTED",
    error,
  });
}

/** @internal */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
