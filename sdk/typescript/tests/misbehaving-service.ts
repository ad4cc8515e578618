/** A service that speaks the wire formats of the real one, and misbehaves as it is told. */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

import type { WireEvent } from "../src/schema.js";
import { frame, OPENING, responseOf } from "./recorded.js";
import { ServerSocket } from "./websocket-server.js";

/** How one connection is served; the next connection has the next behaviour. */
export interface Behaviour {
  /** What is sent in place of the events that were asked for. */
  events?: (events: WireEvent[]) => WireEvent[];
  /** Destroy the connection after so many events. */
  cutAfter?: number;
  /** End the connection in a planned way after so many events. */
  interruptAfter?: number;
  /** Say nothing more after so many events, and stay. */
  stallAfter?: number;
  /** Refuse by HTTP, before anything is streamed. */
  status?: number;
  headers?: Record<string, string>;
  body?: string;
  contentType?: string;
  /** WebSocket: close with this code instead of an acknowledgement. */
  close?: [code: number, reason: string];
  /** WebSocket: errors in place of a subscription. */
  errors?: unknown[];
}

/** What a connection asked for. */
export interface Asked {
  request?: Record<string, unknown>;
  resume?: { completionId: string; lastEventId: string | null };
  headers: Record<string, unknown>;
}

export class MisbehavingService {
  /** In order; connections after the last one are served well. */
  behaviours: Behaviour[] = [];
  /** How every connection without a behaviour is served. */
  usual: Behaviour = {};
  readonly asked: Asked[] = [];
  readonly cancelled: string[] = [];
  /** How generateCompletion is answered, the next call by the next one: a body, or a cut. */
  answers: (Record<string, unknown> | "cut" | { status: number })[] = [];
  readonly generated: Record<string, unknown>[] = [];
  /** Connections of streams that are open. */
  open = 0;

  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(
    /** The whole answer. */
    readonly events: WireEvent[],
  ) {
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
    });
    this.#server.on("upgrade", (request, stream) => {
      const socket = new ServerSocket(request, stream);
      this.open += 1;
      stream.on("close", () => (this.open -= 1));
      this.#converse(socket, request);
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Idempotency keys that were sent with requests. */
  keys(): Set<unknown> {
    return new Set(this.asked.flatMap((a) => (a.request ? [a.request["idempotencyKey"]] : [])));
  }

  #after(asked: Asked, behaviour: Behaviour): WireEvent[] {
    const last = asked.resume?.lastEventId;
    const from = last ? Number(last.split(":")[1]) + 1 : 0;
    const events = this.events.slice(from);
    return behaviour.events ? behaviour.events(events) : events;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const bytes of request) text += bytes;
    const body = JSON.parse(text) as Record<string, any>;
    if (request.url === "/graphql") return this.#execute(body, response);
    const behaviour = this.behaviours.shift() ?? this.usual;
    const { resume } = body;
    const asked: Asked = { headers: request.headers, ...(resume ? { resume } : { request: body }) };
    this.asked.push(asked);
    this.open += 1;
    response.on("close", () => (this.open -= 1));
    if (behaviour.status) {
      response.writeHead(behaviour.status, behaviour.headers).end(behaviour.body ?? "");
      return;
    }
    response.writeHead(200, { "content-type": behaviour.contentType ?? "text/event-stream" });
    if (behaviour.body !== undefined) return void response.end(behaviour.body);
    response.write(OPENING);
    let sent = 0;
    for (const event of this.#after(asked, behaviour)) {
      if (sent === behaviour.cutAfter) return drop(response);
      if (sent === behaviour.stallAfter) return;
      if (sent === behaviour.interruptAfter) {
        const fields = { code: "STREAM_INTERRUPTED", message: "Again", isRetryable: true };
        return void response.end(`event: error\ndata: ${JSON.stringify(fields)}\n\n`);
      }
      response.write(frame(event));
      sent += 1;
    }
    if (sent === behaviour.cutAfter) return drop(response);
    if (sent !== behaviour.stallAfter) response.end();
  }

  #converse(socket: ServerSocket, request: IncomingMessage): void {
    const behaviour = this.behaviours.shift() ?? this.usual;
    let headers: Record<string, unknown> = request.headers;
    socket.onmessage = (message) => {
      switch (message["type"]) {
        case "connection_init":
          headers = message["payload"];
          if (behaviour.close) return socket.close(...behaviour.close);
          return socket.send({ type: "connection_ack" });
        case "ping":
          return socket.send({ type: "pong" });
        case "subscribe":
          return this.#subscribe(socket, message, headers, behaviour);
      }
    };
  }

  #subscribe(
    socket: ServerSocket,
    { id, payload }: Record<string, any>,
    headers: Record<string, unknown>,
    behaviour: Behaviour,
  ): void {
    const { input, resume } = payload.variables;
    const asked: Asked = { headers, ...(resume ? { resume } : { request: input }) };
    this.asked.push(asked);
    socket.send({ type: "ping" });
    if (behaviour.errors) return socket.send({ id, type: "error", payload: behaviour.errors });
    if (behaviour.body !== undefined) return socket.send(behaviour.body);
    let sent = 0;
    for (const { type, ...fields } of this.#after(asked, behaviour)) {
      if (sent === behaviour.cutAfter) return socket.cut();
      if (sent === behaviour.stallAfter) return;
      if (sent === behaviour.interruptAfter) {
        const extensions = { code: "STREAM_INTERRUPTED", isRetryable: true };
        return socket.send({ id, type: "error", payload: [{ message: "Again", extensions }] });
      }
      const data = { completionStream: { __typename: type, ...fields } };
      socket.send({ id, type: "next", payload: { data } });
      sent += 1;
    }
    if (sent === behaviour.cutAfter) return socket.cut();
    if (sent !== behaviour.stallAfter) socket.send({ id, type: "complete" });
  }

  #execute(body: Record<string, any>, response: ServerResponse): void {
    const answer = (data: unknown) => {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(data));
    };
    if (body["query"].includes("cancelCompletion")) {
      const { id } = body["variables"];
      this.cancelled.push(id);
      const completion = responseOf(id, "The ", "CANCELLED");
      return answer({ data: { cancelCompletion: { completion, userErrors: [] } } });
    }
    this.generated.push(body["variables"].input);
    const next = this.answers.shift();
    if (next === "cut") return drop(response);
    if (next && "status" in next) {
      return void response.writeHead(Number(next.status)).end("<html>busy</html>");
    }
    return answer(next ?? { data: { generateCompletion: responseOf("1", "whole") } });
  }
}

function drop(response: ServerResponse): void {
  // What was written leaves first; then the connection ends in the middle of the body.
  setImmediate(() => response.socket?.destroy());
}
