import assert from "node:assert/strict";
import { test } from "node:test";

import { Assistant } from "../src/assistant.js";
import { all, serving } from "./serving.js";

for (const [status, code] of [
  [400, "BAD_USER_INPUT"],
  [401, "UNAUTHENTICATED"],
  [403, "FORBIDDEN"],
  [404, "NOT_FOUND"],
  [413, "BAD_USER_INPUT"],
] as const) {
  test(`sse: status ${status} is thrown at once as ${code}, with the service's words`, async (t) => {
    const { service, assistant } = await serving(t);
    const body = JSON.stringify({ error: { code, message: "Do it otherwise." } });
    service.behaviours = [{ status, body, headers: { "content-type": "application/json" } }];
    const expected = { code, message: "Do it otherwise." };
    await assert.rejects(all(assistant.stream({ text: "x" })), expected);
    service.behaviours = [{ status, body: "<html></html>" }];
    await assert.rejects(all(assistant.stream({ text: "x" })), { code });
    assert.equal(service.asked.length, 2);
  });
}

test("sse: an event of type error that is final is thrown", async (t) => {
  const { service, assistant } = await serving(t);
  const data = JSON.stringify({ code: "FORBIDDEN", message: "No longer", isRetryable: false });
  service.behaviours = [{ body: `event: error\ndata: ${data}\n\n` }];
  await assert.rejects(all(assistant.stream({ text: "x" })), { code: "FORBIDDEN" });
});

for (const [closing, code] of [
  [4400, "BAD_USER_INPUT"],
  [4401, "UNAUTHENTICATED"],
  [4403, "FORBIDDEN"],
  [4406, "BAD_USER_INPUT"],
  [4409, "CONFLICT"],
  [4429, "BAD_USER_INPUT"],
] as const) {
  test(`websocket: closing with ${closing} is thrown at once as ${code}`, async (t) => {
    const { service, assistant } = await serving(t, { transport: "websocket" });
    service.behaviours = [{ close: [closing, "No"] }];
    await assert.rejects(all(assistant.stream({ text: "x" })), { code });
    assert.deepEqual(service.asked, []);
  });
}

for (const closing of [1001, 1011, 1013, 4408]) {
  test(`websocket: after closing with ${closing} it is tried again`, async (t) => {
    const { service, assistant } = await serving(t, { transport: "websocket" });
    service.behaviours = [{ close: [closing, "Later"] }];
    assert.deepEqual(await all(assistant.stream({ text: "x" })), service.events);
  });
}

test("websocket: an operation's error is thrown, with all that the service says of it", async (t) => {
  const { service, assistant } = await serving(t, { transport: "websocket" });
  const extensions = { code: "BAD_USER_INPUT", isRetryable: false, inputPath: ["input", "text"] };
  service.behaviours = [{ errors: [{ message: "text is empty.", extensions }] }];
  await assert.rejects(all(assistant.stream({ text: "" })), {
    code: "BAD_USER_INPUT",
    message: "text is empty.",
    extensions,
  });
});

test("websocket: an operation's error that may pass is waited for", async (t) => {
  const { service, assistant } = await serving(t, { transport: "websocket" });
  const extensions = { code: "RATE_LIMITED", isRetryable: true, retryAfterMs: 5 };
  service.behaviours = [{ errors: [{ message: "Later.", extensions }] }];
  assert.deepEqual(await all(assistant.stream({ text: "x" })), service.events);
});

test("websocket: where there is none it is said what to do", () => {
  const { WebSocket } = globalThis;
  Reflect.deleteProperty(globalThis, "WebSocket");
  try {
    const make = () => new Assistant({ url: "http://host.example", transport: "websocket" });
    assert.throws(make, /option `WebSocket`/);
  } finally {
    globalThis.WebSocket = WebSocket;
  }
});

test("an error of the caller's own headers is theirs", async (t) => {
  const headers = () => Promise.reject(new Error("signed out"));
  for (const transport of ["sse", "websocket"] as const) {
    const { service, assistant } = await serving(t, { transport, headers });
    await assert.rejects(all(assistant.stream({ text: "x" })), { message: "signed out" });
    assert.deepEqual(service.asked, []);
  }
});
