import assert from "node:assert/strict";
import { test } from "node:test";

import { EventStreamParser } from "../src/event-stream-parser.js";
import type { ServerSentEvent } from "../src/event-stream-parser.js";
import { answer, recording } from "./recorded.js";

const encoder = new TextEncoder();

function parsed(...parts: (string | Uint8Array)[]): ServerSentEvent[] {
  const parser = new EventStreamParser();
  return parts.flatMap((part) =>
    parser.push(typeof part === "string" ? encoder.encode(part) : part),
  );
}

test("an event has a type, its data, and the last id", () => {
  assert.deepEqual(parsed("id: 7\nevent: TokenDelta\ndata: {}\n\n"), [
    { type: "TokenDelta", data: "{}", lastEventId: "7" },
  ]);
});

test("an event without a type is a message, and keeps the id of the one before", () => {
  assert.deepEqual(parsed("id: 7\ndata: a\n\ndata: b\n\n"), [
    { type: "message", data: "a", lastEventId: "7" },
    { type: "message", data: "b", lastEventId: "7" },
  ]);
});

test("an id with a NUL is ignored, an empty one takes the id away", () => {
  assert.deepEqual(
    parsed("id: 7\ndata: a\n\nid: 8\0\ndata: b\n\nid\ndata: c\n\n").map((e) => e.lastEventId),
    ["7", "7", ""],
  );
});

test("lines of data are joined by line feeds, and lose one space each", () => {
  assert.deepEqual(
    parsed("data: a\ndata:b\ndata:  c\ndata\ndata:\n\n").map((e) => e.data),
    ["a\nb\n c\n\n"],
  );
});

test("what has no data is no event, and leaves nothing behind", () => {
  assert.deepEqual(parsed("event: lost\nid: 1\n\ndata: x\n\n"), [
    { type: "message", data: "x", lastEventId: "1" },
  ]);
});

test("comments and unknown fields are ignored", () => {
  assert.deepEqual(parsed(": keep-alive\n\nfoo: bar\n:\ndata: x\nDATA: y\n data: z\n\n").length, 1);
});

test("what is not ended by an empty line is no event", () => {
  assert.deepEqual(parsed("data: a\n\ndata: b\n"), [
    { type: "message", data: "a", lastEventId: "" },
  ]);
});

test("retry counts when it is digits and nothing else", () => {
  const parser = new EventStreamParser();
  parser.push(encoder.encode("retry: 1000\nretry: -1\nretry: 1e3\nretry: \nretry: 2 s\n\n"));
  assert.equal(parser.retryMs, 1000);
});

test("one byte order mark is taken away, and only at the beginning", () => {
  const mark = "\uFEFF";
  assert.deepEqual(
    parsed(`${mark}data: ${mark}a\n\n`).map((e) => e.data),
    [`${mark}a`],
  );
  assert.deepEqual(parsed(`${mark}${mark}data: a\n\n`), []);
});

test("bytes that are no UTF-8 become replacement characters, and nothing else is lost", () => {
  const broken = new Uint8Array([0xff, 0xfe]);
  const [event] = parsed("data: a", broken, "b\n\n");
  assert.equal(event?.data, "a\uFFFD\uFFFDb");
});

test("an event that never ends is refused before it fills the memory", () => {
  const parser = new EventStreamParser();
  const megabyte = encoder.encode("x".repeat(1024 * 1024));
  assert.throws(() => {
    for (let n = 0; n < 40; n += 1) parser.push(megabyte);
  }, RangeError);
});

test("comments may go on for ever", () => {
  const parser = new EventStreamParser();
  const comments = encoder.encode(`:${"x".repeat(1024 * 1024)}\n`);
  for (let n = 0; n < 40; n += 1) parser.push(comments);
  assert.equal(parser.push(encoder.encode("data: a\n\n")).length, 1);
});

// --- however it is cut

const texts = recording(answer(8)) + "data: a\ndata: b\n\n";
const expected = parsed(texts);

for (const [name, end] of [
  ["LF", "\n"],
  ["CR", "\r"],
  ["CRLF", "\r\n"],
] as const) {
  const bytes = encoder.encode("\uFEFF" + texts.replaceAll("\n", end));

  test(`a stream of ${name} is the same, cut in two at every byte`, () => {
    for (let at = 0; at <= bytes.length; at += 1) {
      assert.deepEqual(parsed(bytes.subarray(0, at), bytes.subarray(at)), expected);
    }
  });

  test(`a stream of ${name} is the same byte by byte, with nothing in between`, () => {
    const parts = Array.from(bytes, (byte) => [new Uint8Array([byte]), new Uint8Array()]).flat();
    assert.deepEqual(parsed(...parts), expected);
  });
}

test("a stream is the same in pieces of any size, its line ends mixed", () => {
  let seed = 42;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * below);
  };
  for (let round = 0; round < 300; round += 1) {
    let last = "";
    const mixed = texts.replace(/\n/g, (_, at: number) => {
      // A CR and the LF of an empty line would be one end.
      const isEmpty = at > 0 && texts[at - 1] === "\n";
      last = isEmpty && last === "\r" ? "\r" : ["\n", "\r", "\r\n"][random(3)]!;
      return last;
    });
    const bytes = encoder.encode(mixed);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + random(40);
      parts.push(bytes.subarray(at, at + size));
      at += size;
    }
    assert.deepEqual(parsed(...parts), expected);
  }
});
