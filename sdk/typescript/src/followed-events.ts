import type { Clock } from "./clock.js";
import { AssistantError, errorOfEvent, Interruption } from "./errors.js";
import { Patience } from "./patience.js";
import type { RetryOptions } from "./patience.js";
import type { CompletionEvent, CompletionFailed, WireEvent } from "./schema.js";
import type { Target, Transport, TransportListener, UnknownEvent } from "./transport.js";

/** How a stream stands with its connection, for whoever shows it. */
export type ConnectionState =
  | { state: "connecting"; lastEventId: string | null }
  | { state: "open"; lastEventId: string | null }
  /** Another try is made in `retryInMs`. */
  | { state: "lost"; lastEventId: string | null; retryInMs: number; reason: string };

/** @internal */
export interface Following {
  transport: Transport;
  clock: Clock;
  retry: RetryOptions;
  /** Whether a completion that failed in a way that may pass is begun anew. */
  restart: boolean;
  signal: AbortSignal;
  onConnection: (state: ConnectionState) => void;
}

/** A connection that held so long was a good one, even if there was nothing to say. */
const GOOD_CONNECTION_MS = 10_000;

/**
 * @internal The events of a completion, each once and none left out, over as many connections as
 * it takes.
 *
 * Ends after CompletionFinished. Throws AssistantError for CompletionFailed and when it gives up,
 * and `signal`'s reason when that aborts.
 */
export async function* followedEvents(
  start: Target,
  following: Following,
): AsyncGenerator<CompletionEvent, void, undefined> {
  const { transport, clock, retry, signal, onConnection } = following;
  const patience = new Patience(retry, clock);
  const place = new Place(start);
  let restarts = retry.attempts ?? 10;
  let emptyConnections = 0;

  for (;;) {
    signal.throwIfAborted();
    onConnection({ state: "connecting", lastEventId: place.lastEventId });
    const target = place.target();
    let openedAt: number | null = null;
    let isEmpty = true;
    const listener: TransportListener = {
      opened: () => {
        openedAt = clock.now();
        onConnection({ state: "open", lastEventId: place.lastEventId });
      },
      suggested: (ms) => (patience.suggestedDelayMs = ms),
    };
    let interruption: Interruption;
    try {
      for await (const event of transport.open(target, signal, listener)) {
        signal.throwIfAborted();
        isEmpty = false;
        if (event.type === "CompletionFailed") {
          interruption = place.failed(event, following.restart && restarts-- > 0);
          break;
        }
        if (!place.take(event)) continue;
        patience.renew();
        emptyConnections = 0;
        if (!isKnown(event)) continue;
        yield event;
        if (event.type === "CompletionFinished") return;
      }
      interruption ??= new Interruption("The connection ended before the answer.");
      // Once may be a proxy; the service has nothing after the last event of all.
      if (isEmpty && "completionId" in target && (emptyConnections += 1) > 1) throw place.isEnd();
    } catch (error) {
      if (!(error instanceof Interruption)) throw error;
      interruption = error;
    }
    if (openedAt !== null && clock.now() - openedAt >= GOOD_CONNECTION_MS) patience.renew();
    await patience.wait(interruption, signal, place.lastEventId, (retryInMs) =>
      onConnection({
        state: "lost",
        lastEventId: place.lastEventId,
        retryInMs,
        reason: interruption.message,
      }),
    );
  }
}

/** How far the events have come. */
class Place {
  lastEventId: string | null = null;
  readonly #start: Target;
  #completionId: string | null = null;
  #sequence = -1;

  constructor(start: Target) {
    this.#start = start;
    if ("request" in start) return;
    this.#completionId = start.completionId;
    if (start.lastEventId !== null) {
      this.lastEventId = start.lastEventId;
      this.#sequence = sequenceOf(start.lastEventId);
    }
  }

  /** What to ask for now. Before the first event came, the request's key stands for its id. */
  target(): Target {
    if (this.#completionId === null) return this.#start;
    return { completionId: this.#completionId, lastEventId: this.lastEventId };
  }

  /** Whether `event` is the next one; false for one that came before. Throws Interruption. */
  take(event: CompletionEvent | UnknownEvent): boolean {
    if (this.#completionId !== null && event.completionId !== this.#completionId) {
      throw new Interruption("An event of another completion came.");
    }
    if (event.sequence <= this.#sequence) return false;
    if (event.sequence !== this.#sequence + 1) {
      throw new Interruption(
        `Event ${event.sequence} came after event ${this.#sequence}: some are missing.`,
      );
    }
    this.#completionId = event.completionId;
    this.#sequence = event.sequence;
    this.lastEventId = event.eventId;
    return true;
  }

  /** What to throw when there is nothing after it. */
  isEnd(): AssistantError {
    const words = "There is nothing after this event: the completion has ended with it.";
    const { lastEventId } = this;
    return new AssistantError("RESUME_EXPIRED", words, {
      completionId: this.#completionId,
      lastEventId,
    });
  }

  /**
   * What to do about a failure: throw it, or wait and ask again.
   *
   * A request that was turned away before anything was made of it may be repeated when the service
   * says when. That the service has lost its database for a moment says nothing of a completion
   * that goes on. What began and failed is begun anew only for who wants that.
   */
  failed(event: CompletionFailed, mayRestart: boolean): Interruption {
    const error = errorOfEvent(event, this.lastEventId);
    if (!event.isRetryable) throw error;
    if (this.#completionId !== null && event.code === "INTERNAL_SERVER_ERROR") {
      return new Interruption(event.message, { error });
    }
    const isRequest = "request" in this.#start;
    const wasTurnedAway = this.#sequence < 0 && event.retryAfterMs !== null;
    if (!isRequest || !(wasTurnedAway || mayRestart)) throw error;
    this.#completionId = null;
    this.#sequence = -1;
    this.lastEventId = null;
    return new Interruption(event.message, { error });
  }
}

/** @internal Throws TypeError where `eventId` is none. */
export function sequenceOf(eventId: string): number {
  const digits = /:(\d{1,9})$/.exec(eventId);
  if (!digits) throw new TypeError(`An event's id looks like <completion id>:<number>: ${eventId}`);
  return Number(digits[1]);
}

function isKnown(event: WireEvent | UnknownEvent): event is WireEvent {
  return event.type !== null;
}

