import { AssistantError, errorOfJson, Interruption, isObject, thrown } from "./errors.js";
import { RESUME, STREAM } from "./documents.js";
import { Inbox } from "./inbox.js";
import type { ErrorCode, WireEvent } from "./schema.js";
import { address } from "./service.js";
import type { Service } from "./service.js";
import { eventOf } from "./transport.js";
import type { Target, Transport, TransportListener } from "./transport.js";

/** The part of the standard WebSocket that is needed; Node >= 22 and browsers have one. */
export interface WebSocketLike {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
}
export type WebSocketConstructor = new (url: string, protocol: string) => WebSocketLike;

const PROTOCOL = "graphql-transport-ws";
const OPERATION = "1";
const PING_EVERY_MS = 15_000;
/** A socket cannot be told to wait. Who reads so slowly is better off resuming later. */
const MAX_UNREAD = 4_096;

/** Closing codes after which another connection would be closed the same way. */
const REFUSALS: Readonly<Record<number, ErrorCode>> = {
  4400: "BAD_USER_INPUT",
  4401: "UNAUTHENTICATED",
  4403: "FORBIDDEN",
  4406: "BAD_USER_INPUT",
  4409: "CONFLICT",
  4429: "BAD_USER_INPUT",
};

/**
 * @internal Events as a GraphQL subscription, with a socket of its own for each connection.
 *
 * Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
 */
export class WebSocketTransport implements Transport {
  readonly #service: Service;
  readonly #Socket: WebSocketConstructor;

  constructor(service: Service, Socket: WebSocketConstructor) {
    this.#service = service;
    this.#Socket = Socket;
  }

  async *open(
    target: Target,
    signal: AbortSignal,
    listener: TransportListener,
  ): AsyncGenerator<WireEvent, void, undefined> {
    const headers = new Headers(await this.#service.headers());
    if (signal.aborted) throw signal.reason;
    const conversation = new Conversation(this.#connect(), this.#service, target, headers);
    const stop = () => {
      conversation.inbox.end(signal.reason);
      conversation.end();
    };
    signal.addEventListener("abort", stop, { once: true });
    try {
      for (;;) {
        const event = await conversation.inbox.take();
        if (event === "acknowledged") listener.opened();
        else if (event === "completed") return;
        else yield event;
      }
    } finally {
      signal.removeEventListener("abort", stop);
      conversation.end();
    }
  }

  #connect(): WebSocketLike {
    const url = address(this.#service, "/graphql");
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return new this.#Socket(url.href, PROTOCOL);
  }
}

/** One socket, from connection_init to its closing. What comes of it is put into `inbox`. */
class Conversation {
  readonly inbox = new Inbox<WireEvent | "acknowledged" | "completed">();
  readonly #socket: WebSocketLike;
  readonly #service: Service;
  readonly #target: Target;
  #forgetSilence = () => {};
  #forgetPing = () => {};

  constructor(socket: WebSocketLike, service: Service, target: Target, headers: Headers) {
    this.#socket = socket;
    this.#service = service;
    this.#target = target;
    socket.onopen = () => {
      this.#send({ type: "connection_init", payload: Object.fromEntries(headers) });
      this.#pingLater();
    };
    socket.onmessage = (event: { data: unknown }) => this.#hear(event.data);
    // Nothing is known of an error; the closing that follows says more.
    socket.onerror = () => this.inbox.end(new Interruption("The connection was cut."));
    socket.onclose = (event: { code: number; reason: string }) =>
      this.inbox.end(closing(event.code, event.reason));
    this.#heard();
  }

  /** Close the socket. What still arrives of it is nobody's. */
  end(): void {
    this.#forgetSilence();
    this.#forgetPing();
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onerror = socket.onclose = null;
    try {
      socket.close(1000);
    } catch {
      // It is not open, and will not be.
    }
  }

  #hear(data: unknown): void {
    this.#heard();
    let message: unknown;
    try {
      message = JSON.parse(String(data));
    } catch (cause) {
      return this.inbox.end(new Interruption("A message is not JSON.", { cause }));
    }
    if (!isObject(message)) return this.inbox.end(new Interruption("A message is no object."));
    switch (message["type"]) {
      case "connection_ack":
        this.#subscribe();
        return this.inbox.push("acknowledged");
      case "ping":
        return this.#send({ type: "pong" });
      case "next":
        return this.#next(message["payload"]);
      case "error":
        return this.inbox.end(failure(message["payload"]));
      case "complete":
        return this.inbox.push("completed");
      default: // A pong, or what a newer protocol has.
    }
  }

  #subscribe(): void {
    const target = this.#target;
    const payload =
      "request" in target
        ? { query: STREAM, variables: { input: target.request } }
        : { query: RESUME, variables: { resume: target } };
    this.#send({ id: OPERATION, type: "subscribe", payload });
  }

  #next(payload: unknown): void {
    if (!isObject(payload)) return this.inbox.end(new Interruption("A result is no object."));
    const errors = payload["errors"];
    if (Array.isArray(errors) && errors.length > 0) return this.inbox.end(failure(errors));
    const fields = isObject(payload["data"]) ? payload["data"]["completionStream"] : null;
    const event = isObject(fields) ? eventOf(String(fields["__typename"]), fields) : null;
    if (!event) return this.inbox.end(new Interruption("A result is no event."));
    if (this.inbox.length >= MAX_UNREAD) {
      this.inbox.end(new Interruption("Too much was left unread.", { isPlanned: true }));
      return this.#socket.close(1000);
    }
    this.inbox.push(event as WireEvent);
  }

  #send(message: Record<string, unknown>): void {
    try {
      this.#socket.send(JSON.stringify(message));
    } catch (cause) {
      this.inbox.end(new Interruption("The connection was cut.", { cause }));
    }
  }

  #heard(): void {
    this.#forgetSilence();
    const { clock, silenceMs } = this.#service;
    this.#forgetSilence = clock.after(silenceMs, () => {
      this.inbox.end(new Interruption(`Nothing came for ${silenceMs} ms.`));
    });
  }

  /** Browsers answer the service's own pings without telling: only these show that it is there. */
  #pingLater(): void {
    this.#forgetPing = this.#service.clock.after(PING_EVERY_MS, () => {
      this.#send({ type: "ping" });
      this.#pingLater();
    });
  }
}

function failure(errors: unknown): AssistantError | Interruption {
  const error = errorOfJson(Array.isArray(errors) ? errors[0] : null);
  return error ? thrown(error) : new Interruption("The service reported an error without a code.");
}

function closing(code: number, reason: string): AssistantError | Interruption {
  const refusal = REFUSALS[code];
  // Not said by anybody: what a browser makes of a connection that ended without a word.
  if (code === 1005 || code === 1006) return new Interruption("The connection was cut.");
  const words = `The service closed the connection: ${reason || "no reason given"} (${code}).`;
  return refusal ? new AssistantError(refusal, words) : new Interruption(words);
}
