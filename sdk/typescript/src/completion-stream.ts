import { linked, sleep } from "./clock.js";
import { AssistantError } from "./errors.js";
import { followedEvents } from "./followed-events.js";
import type { ConnectionState, Following } from "./followed-events.js";
import type { CompletionEvent, CompletionResponse } from "./schema.js";
import type { Target } from "./transport.js";

export interface StreamCallbacks {
  /** A piece of the answer, and all of it so far; a piece of "" where the text was voided. */
  onText?: (piece: string, soFar: string) => void;
  /** Every event, before it is yielded. */
  onEvent?: (event: CompletionEvent) => void;
  /** The connection was made, lost, is being made again. */
  onConnection?: (state: ConnectionState) => void;
}

/** @internal */
export interface StreamSource extends Omit<Following, "signal" | "onConnection"> {
  start: Target;
  /** The text that was streamed before the place where `start` goes on. */
  textBefore: string;
  signal: AbortSignal | undefined;
  callbacks: StreamCallbacks;
  /** Asks the service to stop the completion. */
  cancel: (completionId: string, options: { isLeaving: boolean }) => Promise<unknown>;
}

/** How long a completion that has no name yet may take to tell it, to be cancelled. */
const NAMING_MS = 60_000;

/**
 * The events of one completion, and what they come to.
 *
 * Nothing is asked for until it is read: iterated over, once, or by `response` or `text`. Who
 * iterates decides how fast events are taken. Reading it to its end, failure included, leaves
 * nothing open; leaving it earlier (`break`, `return`, an abort, an error of a callback's) closes
 * the connection and cancels the completion, as well as that can be done.
 */
export class CompletionStream implements AsyncIterable<CompletionEvent> {
  /** The answer so far. CompletionStarted and CompletionRestarted empty it. */
  soFar: string;
  /** What `Assistant.resume` goes on after; null before the first event. */
  lastEventId: string | null;
  /** The completion's id; null before the first event. */
  completionId: string | null;

  readonly #source: StreamSource;
  readonly #events: AsyncGenerator<CompletionEvent, void, undefined>;
  readonly #named = new Deferred<string>();
  readonly #finished = new Deferred<CompletionResponse>();
  #isRead = false;
  #isOpened = false;
  #isOver = false;

  /** @internal */
  constructor(source: StreamSource) {
    this.#source = source;
    this.soFar = source.textBefore;
    this.completionId = "request" in source.start ? null : source.start.completionId;
    this.lastEventId = "request" in source.start ? null : source.start.lastEventId;
    this.#events = this.#run();
    if (this.completionId !== null) this.#named.resolve(this.completionId);
  }

  /** The settled completion. Rejects with what iterating would throw. */
  get response(): Promise<CompletionResponse> {
    if (!this.#isRead) void this.#drain();
    return this.#finished.promise;
  }

  /** The whole answer. Rejects with what iterating would throw. */
  get text(): Promise<string> {
    return this.response.then((response) => response.text);
  }

  [Symbol.asyncIterator](): AsyncGenerator<CompletionEvent, void, undefined> {
    if (this.#isRead) throw new TypeError("A stream can be read once.");
    this.#isRead = true;
    return this.#events;
  }

  /**
   * Ask the service to stop. The stream goes on until it has: to a CompletionFinished whose
   * response has the status CANCELLED, what there is of the text, and what that cost. Before the
   * first event it waits for that one. To leave at once, abort the signal.
   */
  async cancel(): Promise<void> {
    if (!this.#isRead && this.completionId === null) return this.#leaveUnread();
    let id: string;
    try {
      id = await this.#named.promise;
    } catch {
      return; // It is over, and never had a name.
    }
    await this.#source.cancel(id, { isLeaving: false });
  }

  async *#run(): AsyncGenerator<CompletionEvent, void, undefined> {
    const { controller, unlink } = linked(this.#source.signal);
    const { onEvent, onConnection } = this.#source.callbacks;
    // At once, also when nobody asks for the next event any more.
    controller.signal.addEventListener("abort", () => this.#leave(controller.signal.reason));
    try {
      controller.signal.throwIfAborted();
      const events = followedEvents(this.#source.start, {
        ...this.#source,
        signal: controller.signal,
        onConnection: (state) => {
          if (state.state === "open") this.#isOpened = true;
          onConnection?.(state);
        },
      });
      for await (const event of events) {
        this.#take(event);
        onEvent?.(event);
        if (event.type === "CompletionFinished") {
          this.#isOver = true;
          this.#finished.resolve(event.response);
        }
        yield event;
      }
    } catch (error) {
      // What the service has ended needs no cancelling; what was only lost can be resumed.
      if (error instanceof AssistantError) this.#isOver = true;
      this.#end(error);
      throw error;
    } finally {
      unlink();
      controller.abort(left());
    }
  }

  /** The end, for whoever waits for it, and for the completion if it has not ended yet. */
  #leave(reason: unknown): void {
    this.#end(reason);
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#isOpened) void this.#abandon();
  }

  #take(event: CompletionEvent): void {
    this.lastEventId = event.eventId;
    this.completionId = event.completionId;
    this.#named.resolve(event.completionId);
    const { onText } = this.#source.callbacks;
    switch (event.type) {
      case "CompletionStarted":
      case "CompletionRestarted": {
        const isVoided = this.soFar !== "";
        this.soFar = "";
        if (isVoided) onText?.("", "");
        break;
      }
      case "TokenDelta":
        this.soFar += event.text;
        onText?.(event.text, this.soFar);
        break;
      default: // Nothing of it is text of the answer.
    }
  }

  async #drain(): Promise<void> {
    this.#isRead = true;
    try {
      while (!(await this.#events.next()).done);
    } catch {
      // `response` and `text` have been told.
    }
  }

  #end(error: unknown): void {
    this.#named.reject(error);
    this.#finished.reject(error);
  }

  async #leaveUnread(): Promise<void> {
    this.#isRead = true;
    await this.#events.return();
    this.#end(left());
  }

  /** Cancel what nobody waits for any more. One that has not told its id is asked by its key. */
  async #abandon(): Promise<void> {
    try {
      const id = this.completionId ?? (await this.#learnName());
      if (id !== null) await this.#source.cancel(id, { isLeaving: true });
    } catch {
      // The service cancels it itself, for want of readers.
    }
  }

  async #learnName(): Promise<string | null> {
    const { start, transport, clock } = this.#source;
    const controller = new AbortController();
    const waiting = sleep(clock, NAMING_MS, controller.signal).then(() => controller.abort());
    waiting.catch(() => {});
    const listener = { opened() {}, suggested() {} };
    try {
      for await (const event of transport.open(start, controller.signal, listener)) {
        return event.type === "CompletionFailed" ? null : event.completionId;
      }
      return null;
    } finally {
      controller.abort();
    }
  }
}

function left(): AssistantError {
  return new AssistantError("CANCELLED", "The stream was left before its end.");
}

/** A promise that is settled from outside, once; nobody has to wait for it. */
class Deferred<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => {});
  }
}
