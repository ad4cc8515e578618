/**
 * The server's side of a WebSocket, as far as the tests need it: short messages, no extensions.
 *
 * Source: https://www.rfc-editor.org/rfc/rfc6455
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

const TEXT = 1;
const CLOSE = 8;

export class ServerSocket {
  onmessage: (message: Record<string, any>) => void = () => {};
  readonly #stream: Duplex;
  #received = Buffer.alloc(0);

  constructor(request: IncomingMessage, stream: Duplex) {
    this.#stream = stream;
    const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    stream.write(
      "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n" +
        `sec-websocket-accept: ${createHash("sha1").update(key).digest("base64")}\r\n` +
        `sec-websocket-protocol: ${request.headers["sec-websocket-protocol"]}\r\n\r\n`,
    );
    stream.on("error", () => {});
    stream.on("data", (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      while (this.#takeFrame());
    });
  }

  send(message: unknown): void {
    this.#write(TEXT, Buffer.from(typeof message === "string" ? message : JSON.stringify(message)));
  }

  close(code: number, reason: string): void {
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
    payload.writeUInt16BE(code);
    payload.write(reason, 2);
    this.#write(CLOSE, payload);
    this.#stream.end();
  }

  /** Without a word, as a network does. */
  cut(): void {
    this.#stream.destroy();
  }

  #write(opcode: number, payload: Buffer): void {
    const { length } = payload;
    const head = Buffer.alloc(length < 126 ? 2 : 4);
    head[0] = 0x80 | opcode;
    head[1] = length < 126 ? length : 126;
    if (length >= 126) head.writeUInt16BE(length, 2);
    this.#stream.write(Buffer.concat([head, payload]));
  }

  #takeFrame(): boolean {
    const bytes = this.#received;
    if (bytes.length < 6) return false;
    const short = bytes[1]! & 0x7f;
    const start = short < 126 ? 2 : 4;
    const length = short < 126 ? short : bytes.readUInt16BE(2);
    if (bytes.length < start + 4 + length) return false;
    const mask = bytes.subarray(start, start + 4);
    const payload = Buffer.from(bytes.subarray(start + 4, start + 4 + length));
    for (let i = 0; i < length; i += 1) payload[i]! ^= mask[i % 4]!;
    this.#received = bytes.subarray(start + 4 + length);
    const opcode = bytes[0]! & 0x0f;
    if (opcode === TEXT) this.onmessage(JSON.parse(payload.toString()));
    if (opcode === CLOSE) this.#stream.end();
    return true;
  }
}
