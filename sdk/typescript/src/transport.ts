import { isObject } from "./errors.js";
import type { CompletionRequest, WireEvent } from "./schema.js";

/** @internal Which events are wanted: those of a request, or those after another event. */
export type Target =
  | { request: CompletionRequest & { idempotencyKey: string } }
  | { completionId: string; lastEventId: string | null };

/** @internal What a transport tells besides the events. */
export interface TransportListener {
  /** The service has answered: it knows the request. */
  opened(): void;
  /** How long the service wants its clients to wait before they connect again. */
  suggested(retryMs: number): void;
}

/** @internal One way to receive the events of a completion. */
export interface Transport {
  /**
   * The events of one connection. They end, or Interruption is thrown, where the connection does;
   * AssistantError is thrown where another connection would be no use, and `signal`'s reason when
   * that aborts. The connection is closed when the generator is.
   */
  open(
    target: Target,
    signal: AbortSignal,
    listener: TransportListener,
  ): AsyncGenerator<WireEvent, void, undefined>;
}

const TYPES: ReadonlySet<string> = new Set<WireEvent["type"]>([
  "CompletionStarted",
  "TokenDelta",
  "ReasoningDelta",
  "CompletionRestarted",
  "CompletionContinued",
  "CompletionFinished",
  "CompletionFailed",
]);

/** @internal An event that this version knows nothing of, from a service that is newer. */
export interface UnknownEvent {
  type: null;
  eventId: string;
  completionId: string;
  sequence: number;
}

/** @internal `fields` as an event; null where they are none. */
export function eventOf(type: string, fields: unknown): WireEvent | UnknownEvent | null {
  if (!isObject(fields)) return null;
  const { eventId, completionId, sequence } = fields;
  if (typeof eventId !== "string" || typeof completionId !== "string") return null;
  if (typeof sequence !== "number" || !Number.isSafeInteger(sequence)) return null;
  if (!TYPES.has(type)) return { type: null, eventId, completionId, sequence };
  const { __typename: _, ...rest } = fields;
  return { ...rest, type } as unknown as WireEvent;
}
