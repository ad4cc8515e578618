import { linked, systemClock } from "./clock.js";
import type { Clock } from "./clock.js";
import { CompletionStream } from "./completion-stream.js";
import type { StreamCallbacks } from "./completion-stream.js";
import { CANCEL, COMPLETE } from "./documents.js";
import { errorOfJson, Interruption } from "./errors.js";
import { sequenceOf } from "./followed-events.js";
import { newId } from "./identifier.js";
import { Patience } from "./patience.js";
import type { RetryOptions } from "./patience.js";
import type { CompletionRequest, CompletionResponse } from "./schema.js";
import { execute } from "./service.js";
import type { HeadersSource, Service } from "./service.js";
import { SseTransport } from "./sse-transport.js";
import type { Target, Transport } from "./transport.js";
import { WebSocketTransport } from "./websocket-transport.js";
import type { WebSocketConstructor } from "./websocket-transport.js";

export interface AssistantOptions {
  /** Where the service is, as in "http://127.0.0.1:8090"; on a page also relative to it. */
  url: string | URL;
  /** Who is calling. A function is asked before every connection, so that tokens may be renewed. */
  headers?: HeadersSource | (() => HeadersSource | Promise<HeadersSource>);
  /** How streams are received: POST /api/stream, or GraphQL over WebSocket; "sse". */
  transport?: "sse" | "websocket";
  retry?: RetryOptions;
  /** A connection that nothing comes over for so long is given up, and made again; 45,000. */
  silenceTimeoutMs?: number;
  fetch?: typeof globalThis.fetch;
  /** For "websocket" where there is no global one: Node 20. */
  WebSocket?: WebSocketConstructor;
}

export interface CallOptions {
  /** Aborting ends the call at once, with the signal's reason. */
  signal?: AbortSignal;
}

export interface ResumeOptions extends CallOptions, StreamCallbacks {
  /** The answer up to the event to go on after, if `soFar` is to go on from it. */
  textBefore?: string;
}

export interface StreamOptions extends CallOptions, StreamCallbacks {
  /**
   * Begin anew when the completion fails in a way that may pass, as in STREAM_INTERRUPTED after
   * the replica that made it died. The events then begin again at CompletionStarted.
   */
  restart?: boolean;
}

/** A client of the assistant service. It keeps no connection open between calls. */
export class Assistant {
  readonly #service: Service;
  readonly #transport: Transport;
  readonly #retry: RetryOptions;

  constructor(options: AssistantOptions);
  /** @internal */
  constructor(options: AssistantOptions, clock: Clock);
  constructor(options: AssistantOptions, clock: Clock = systemClock) {
    const { headers = {}, transport = "sse", retry = {}, silenceTimeoutMs = 45_000 } = options;
    this.#retry = retry;
    this.#service = {
      url: new URL(options.url, globalThis.location?.href),
      headers: typeof headers === "function" ? headers : () => headers,
      fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
      clock,
      silenceMs: silenceTimeoutMs,
    };
    this.#transport =
      transport === "sse"
        ? new SseTransport(this.#service)
        : new WebSocketTransport(this.#service, socketOf(options));
  }

  /**
   * The whole answer. Tried again, under one idempotency key, until the service has answered.
   *
   * Rejects with AssistantError.
   */
  async complete(
    request: CompletionRequest,
    options: CallOptions = {},
  ): Promise<CompletionResponse> {
    const data = await this.#persist(COMPLETE, { input: keyed(request) }, options.signal);
    return data["generateCompletion"] as CompletionResponse;
  }

  /** The answer as it is made. Nothing is asked for until the stream is read. */
  stream(request: CompletionRequest, options: StreamOptions = {}): CompletionStream {
    return this.#stream({ request: keyed(request) }, options.restart ?? false, "", options);
  }

  /**
   * The events after `lastEventId`, of a stream that was left or lost, on this page or another.
   * Given a completion's id: all of its events. Nothing is ever begun or paid for by it.
   *
   * Reading rejects with RESUME_EXPIRED when the service no longer has them: ten minutes after
   * the end.
   */
  resume(lastEventId: string, options: ResumeOptions = {}): CompletionStream {
    // It may come from where there is none: a storage, an attribute.
    const [completionId, sequence] = String(lastEventId).split(":") as [string, string | undefined];
    if (sequence !== undefined) sequenceOf(lastEventId);
    const target = { completionId, lastEventId: sequence === undefined ? null : lastEventId };
    return this.#stream(target, false, options.textBefore ?? "", options);
  }

  /**
   * Stop a completion, wherever its stream is read, and return it as it ended. One that has ended
   * is left as it is. Null where it was stopped before a model was asked.
   *
   * Rejects with AssistantError.
   */
  async cancel(
    completionId: string,
    options: CallOptions = {},
  ): Promise<CompletionResponse | null> {
    const data = await this.#persist(CANCEL, { id: completionId }, options.signal);
    return cancelled(data);
  }

  #stream(
    start: Target,
    restart: boolean,
    textBefore: string,
    options: CallOptions & StreamCallbacks,
  ): CompletionStream {
    return new CompletionStream({
      start,
      textBefore,
      restart,
      transport: this.#transport,
      clock: this.#service.clock,
      retry: this.#retry,
      signal: options.signal,
      callbacks: options,
      cancel: async (id, { isLeaving }) => {
        if (!isLeaving) return this.cancel(id);
        // Whoever leaves does not wait: one try, which may outlive the page.
        const { signal } = new AbortController();
        return cancelled(
          await execute(this.#service, CANCEL, { id }, signal, { keepalive: true }),
        );
      },
    });
  }

  /** An operation that may be sent again: it has a key, or does nothing twice. */
  async #persist(
    query: string,
    variables: Record<string, unknown>,
    outer: AbortSignal | undefined,
  ): Promise<Record<string, unknown>> {
    const { controller, unlink } = linked(outer);
    const { signal } = controller;
    const patience = new Patience(this.#retry, this.#service.clock);
    try {
      for (;;) {
        signal.throwIfAborted();
        try {
          return await execute(this.#service, query, variables, signal);
        } catch (error) {
          if (!(error instanceof Interruption)) throw error;
          // What the service answered may be asked again only when it says when.
          if (error.error && error.retryAfterMs === null) throw error.error;
          await patience.wait(error, signal, null);
        }
      }
    } finally {
      unlink();
    }
  }
}

/** A request that can be sent again: the first answer counts. */
function keyed(request: CompletionRequest): CompletionRequest & { idempotencyKey: string } {
  return { ...request, idempotencyKey: request.idempotencyKey ?? newId() };
}

function cancelled(data: Record<string, unknown>): CompletionResponse | null {
  const payload = data["cancelCompletion"] as {
    completion: CompletionResponse | null;
    userErrors: unknown[];
  };
  const error = errorOfJson(payload.userErrors[0]);
  if (error) throw error;
  return payload.completion;
}

function socketOf(options: AssistantOptions): WebSocketConstructor {
  const Socket = options.WebSocket ?? globalThis.WebSocket;
  if (!Socket) {
    throw new TypeError('transport "websocket" needs the option `WebSocket` here: there is none.');
  }
  return Socket as WebSocketConstructor;
}
