import assert from "node:assert/strict";
import { test } from "node:test";

import { AssistantError } from "../src/errors.js";
import type { CompletionEvent, WireEvent } from "../src/schema.js";
import { answer, COMPLETION, pieces, responseOf } from "./recorded.js";
import { all, serving, TRANSPORTS } from "./serving.js";

for (const transport of TRANSPORTS) {
  test(`${transport}: a stream is iterated, and its text and response are there afterwards`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    const stream = assistant.stream({ text: "hello" });
    assert.deepEqual(await all(stream), service.events);
    const text = pieces(10).join("");
    assert.equal(stream.soFar, text);
    assert.equal(await stream.text, text);
    assert.equal((await stream.response).usage.cost.amount, "0.00042");
    assert.equal(stream.lastEventId, `${COMPLETION}:11`);
    assert.equal(stream.completionId, COMPLETION);
  });

  test(`${transport}: what is sent is the request, a key of its own, and the headers`, async (t) => {
    let token = 0;
    const headers = async () => ({ authorization: `Bearer ${(token += 1)}` });
    const { service, assistant } = await serving(t, { transport, headers });
    service.behaviours = [{ cutAfter: 2 }];
    await assistant.stream({ promptName: "greet", variables: { name: "Ada" } }).text;
    const [first, second] = service.asked;
    const { idempotencyKey, ...rest } = first!.request!;
    assert.deepEqual(rest, { promptName: "greet", variables: { name: "Ada" } });
    assert.match(String(idempotencyKey), /^[0-9a-f-]{36}$/);
    assert.equal(first!.headers["authorization"], "Bearer 1");
    assert.equal(second!.headers["authorization"], "Bearer 2");
    await assistant.stream({ text: "x", idempotencyKey: "my-own-key" }).text;
    assert.equal(service.asked[2]!.request!["idempotencyKey"], "my-own-key");
  });

  test(`${transport}: nothing is asked for until the stream is read`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    const stream = assistant.stream({ text: "x" });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(service.asked.length, 0);
    await stream.cancel();
    await assert.rejects(stream.text, { code: "CANCELLED" });
    assert.equal(service.asked.length, 0);
  });

  test(`${transport}: callbacks get every piece with the text so far, and every event`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    const seen: string[] = [];
    const events: CompletionEvent[] = [];
    await assistant.stream(
      { text: "x" },
      {
        onText: (piece, soFar) => {
          assert.ok(soFar.endsWith(piece));
          seen.push(piece);
        },
        onEvent: (event) => events.push(event),
      },
    ).response;
    assert.deepEqual(seen, pieces(10));
    assert.deepEqual(events, service.events);
  });

  test(`${transport}: a restart voids the text so far`, async (t) => {
    const events = answer(5);
    const restarted: WireEvent = {
      ...events[2]!,
      type: "CompletionRestarted",
      model: { id: "openai/gpt" },
      reason: "STREAM_INTERRUPTED",
    } as WireEvent;
    const { assistant } = await serving(t, { transport }, events.with(2, restarted));
    const texts: string[] = [];
    const stream = assistant.stream({ text: "x" }, { onText: (_, soFar) => texts.push(soFar) });
    await stream.response;
    const [first, , third] = pieces(3);
    assert.deepEqual(texts, [first, "", third]);
    assert.equal(stream.soFar, third);
  });

  test(`${transport}: a failure is thrown, and is not among the events`, async (t) => {
    const failed: WireEvent = {
      eventId: `${COMPLETION}:3`,
      completionId: COMPLETION,
      sequence: 3,
      type: "CompletionFailed",
      code: "BUDGET_EXCEEDED",
      message: "Ask for more.",
      isRetryable: true,
      retryAfterMs: 5_000,
    };
    const events = [...answer(12).slice(0, 3), failed];
    const { service, assistant } = await serving(t, { transport }, events);
    const stream = assistant.stream({ text: "x" });
    const seen: string[] = [];
    await assert.rejects(
      async () => {
        for await (const event of stream) seen.push(event.type);
      },
      (error: AssistantError) => {
        assert.ok(error instanceof AssistantError);
        assert.equal(error.code, "BUDGET_EXCEEDED");
        assert.equal(error.message, "Ask for more.");
        assert.equal(error.isRetryable, true);
        assert.equal(error.retryAfterMs, 5_000);
        assert.equal(error.completionId, COMPLETION);
        return true;
      },
    );
    assert.deepEqual(seen, ["CompletionStarted", "TokenDelta", "TokenDelta"]);
    await assert.rejects(stream.text, { code: "BUDGET_EXCEEDED" });
    assert.equal(service.asked.length, 1);
    assert.deepEqual(service.cancelled, []);
  });

  test(`${transport}: an event that this version does not know counts, and is left out`, async (t) => {
    const events = answer(6);
    const unknown = { ...events[3]!, type: "ToolCallStarted" } as unknown as WireEvent;
    const { service, assistant } = await serving(t, { transport }, events.with(3, unknown));
    const seen = await all(assistant.stream({ text: "x" }));
    assert.deepEqual(seen.map((event) => event.sequence), [0, 1, 2, 4, 5]);
    assert.equal(service.asked.length, 1);
  });

  test(`${transport}: a stream can be read once`, async (t) => {
    const { assistant } = await serving(t, { transport });
    const stream = assistant.stream({ text: "x" });
    await stream.text;
    assert.throws(() => stream[Symbol.asyncIterator](), TypeError);
  });

  test(`${transport}: a stream is resumed after an event, and goes on from its text`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    const before = pieces(4).join("");
    const stream = assistant.resume(`${COMPLETION}:4`, { textBefore: before });
    assert.deepEqual((await all(stream)).map((event) => event.sequence), [5, 6, 7, 8, 9, 10, 11]);
    assert.equal(stream.soFar, pieces(10).join(""));
    assert.deepEqual(service.asked[0]!.resume, {
      completionId: COMPLETION,
      lastEventId: `${COMPLETION}:4`,
    });
  });

  test(`${transport}: a completion is read from its beginning by its id`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    assert.deepEqual(await all(assistant.resume(COMPLETION)), service.events);
    assert.deepEqual(service.asked[0]!.resume, { completionId: COMPLETION, lastEventId: null });
  });

  test(`${transport}: after the last event there is nothing to resume`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    await assert.rejects(all(assistant.resume(`${COMPLETION}:11`)), { code: "RESUME_EXPIRED" });
    assert.equal(service.asked.length, 2);
  });

  test(`${transport}: what can no longer be resumed is thrown, and nothing is begun anew`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    service.behaviours = [
      { cutAfter: 4 },
      {
        events: ([next]) => [
          {
            ...next!,
            type: "CompletionFailed",
            code: "RESUME_EXPIRED",
            message: "Gone",
            isRetryable: false,
            retryAfterMs: null,
          } as WireEvent,
        ],
      },
    ];
    const stream = assistant.stream({ text: "x" }, { restart: true });
    await assert.rejects(all(stream), { code: "RESUME_EXPIRED", lastEventId: `${COMPLETION}:3` });
    assert.equal(service.asked.length, 2);
  });
}

test("an event's id that is none is refused before anything is asked", async (t) => {
  const { assistant } = await serving(t);
  assert.throws(() => assistant.resume(`${COMPLETION}:seven`), TypeError);
});

test("an address may have a path, and end in a slash", async (t) => {
  const urls: string[] = [];
  const { assistant } = await serving(t, {
    url: "https://host.example/ai/",
    fetch: async (input) => {
      urls.push(String(input));
      return Response.json({ data: { generateCompletion: responseOf("1", "x") } });
    },
  });
  await assistant.complete({ text: "x" });
  assert.deepEqual(urls, ["https://host.example/ai/graphql"]);
});
