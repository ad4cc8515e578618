import { linked } from "./clock.js";
import { AssistantError, errorOfJson, Interruption, thrown } from "./errors.js";
import { EventStreamParser } from "./event-stream-parser.js";
import type { ServerSentEvent } from "./event-stream-parser.js";
import type { WireEvent } from "./schema.js";
import { post, refusalOf, unlessSilent, wording } from "./service.js";
import type { Service } from "./service.js";
import { eventOf } from "./transport.js";
import type { Target, Transport, TransportListener, UnknownEvent } from "./transport.js";

const EVENT_STREAM = "text/event-stream";

/** @internal Events by POST /api/stream. What is not read stays with the service. */
export class SseTransport implements Transport {
  readonly #service: Service;

  constructor(service: Service) {
    this.#service = service;
  }

  async *open(
    target: Target,
    signal: AbortSignal,
    listener: TransportListener,
  ): AsyncGenerator<WireEvent, void, undefined> {
    const { controller, unlink } = linked(signal);
    try {
      const body = "request" in target ? target.request : { resume: target };
      const asked = post(this.#service, "/api/stream", body, controller.signal, {
        accept: EVENT_STREAM,
      });
      const response = await unlessSilent(this.#service, asked, controller);
      if (!response.ok) throw await refusalOf(response);
      if (!response.headers.get("content-type")?.startsWith(EVENT_STREAM) || !response.body) {
        throw new Interruption("The answer is no stream of events: something stands in between.");
      }
      listener.opened();
      yield* this.#read(response.body.getReader(), controller, listener);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw error;
    } finally {
      unlink();
      controller.abort();
    }
  }

  async *#read(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    controller: AbortController,
    listener: TransportListener,
  ): AsyncGenerator<WireEvent, void, undefined> {
    const parser = new EventStreamParser();
    for (;;) {
      let events: ServerSentEvent[];
      try {
        const { done, value } = await unlessSilent(this.#service, reader.read(), controller);
        if (done) return;
        events = parser.push(value);
      } catch (cause) {
        if (cause instanceof Interruption) throw cause;
        throw new Interruption(`The connection was cut: ${wording(cause)}`, { cause });
      }
      if (parser.retryMs !== null) listener.suggested(parser.retryMs);
      for (const event of events) {
        const received = receivedOf(event);
        if (received) yield received as WireEvent;
      }
    }
  }
}

/** Null for what this version does not know and need not count. */
function receivedOf({ type, data }: ServerSentEvent): WireEvent | UnknownEvent | null {
  let fields: unknown;
  try {
    fields = JSON.parse(data);
  } catch (cause) {
    throw new Interruption("An event is not JSON: something stands in between.", { cause });
  }
  if (type === "error") {
    throw thrown(
      errorOfJson(fields) ??
        new AssistantError("STREAM_INTERRUPTED", "The service ended the connection.", {
          isRetryable: true,
        }),
    );
  }
  return eventOf(type, fields);
}
