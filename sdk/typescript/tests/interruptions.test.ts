import assert from "node:assert/strict";
import { test } from "node:test";

import { Assistant } from "../src/assistant.js";
import type { ConnectionState } from "../src/followed-events.js";
import type { WireEvent } from "../src/schema.js";
import { answer, COMPLETION, pieces, recording } from "./recorded.js";
import type { Behaviour } from "./misbehaving-service.js";
import { all, serving, TRANSPORTS } from "./serving.js";

const LONG = answer(200);

for (const transport of TRANSPORTS) {
  test(`${transport}: cut once after each event of a long answer, every event comes once`, async (t) => {
    const { service, assistant } = await serving(t, { transport }, LONG);
    for (let cutAfter = 0; cutAfter < LONG.length; cutAfter += 1) {
      service.behaviours = [{ cutAfter }];
      service.asked.length = 0;
      const stream = assistant.stream({ text: "x" });
      assert.deepEqual(await all(stream), LONG);
      assert.equal(stream.soFar, await stream.text);
      assert.equal(service.asked.length, 2);
      // Before the first event there is nothing to resume: the key joins what was begun.
      assert.equal(service.keys().size, 1);
      const last = cutAfter === 0 ? undefined : `${COMPLETION}:${cutAfter - 1}`;
      assert.equal(service.asked[1]!.resume?.lastEventId, last);
    }
  });

  test(`${transport}: cut after every single event, all come, each once`, async (t) => {
    const { service, assistant } = await serving(t, { transport }, LONG);
    service.usual = { cutAfter: 1 };
    const stream = assistant.stream({ text: "x" });
    assert.deepEqual(await all(stream), LONG);
    assert.equal(service.asked.length, LONG.length);
  });

  test(`${transport}: a planned end is followed by the rest at once, however long waits would be`, async (t) => {
    const { service, assistant } = await serving(
      t,
      { transport, retry: { baseDelayMs: 60_000, maxDelayMs: 60_000 } },
      LONG,
    );
    service.usual = { interruptAfter: 20 };
    assert.deepEqual(await all(assistant.stream({ text: "x" })), LONG);
    assert.equal(service.asked.length, 10);
  });

  const dishonest: Record<string, Behaviour> = {
    "repeats events": {
      events: (events) => [...events.slice(0, 4), ...events.slice(2, 6), ...events],
    },
    "leaves events out": { events: (events) => [...events.slice(0, 3), ...events.slice(4)] },
    "begins in the middle": { events: (events) => events.slice(2) },
    "sends another completion's events": {
      events: (events) => [...events.slice(0, 3), ...answer(12, "another").slice(3)],
    },
    "ends too early": { events: (events) => events.slice(0, 5) },
    "sends nothing": { events: () => [] },
    "sends garbage": { body: 'event: TokenDelta\ndata: {"half":\n\n' },
    "is a page of a proxy's": { body: "<html>login</html>", contentType: "text/html" },
  };
  for (const [what, behaviour] of Object.entries(dishonest)) {
    test(`${transport}: a connection that ${what} loses and doubles nothing`, async (t) => {
      const { service, assistant } = await serving(t, { transport });
      service.behaviours = [behaviour];
      assert.deepEqual(await all(assistant.stream({ text: "x" })), service.events);
      assert.equal(service.keys().size, 1);
      // What has been had is passed over; all else is asked for again.
      assert.equal(service.asked.length, what === "repeats events" ? 1 : 2);
    });
  }

  test(`${transport}: a connection that says nothing is cut and made again`, async (t) => {
    const { service, assistant } = await serving(t, { transport, silenceTimeoutMs: 60 });
    service.behaviours = [{ stallAfter: 0 }, { stallAfter: 5 }];
    assert.deepEqual(await all(assistant.stream({ text: "x" })), service.events);
    assert.equal(service.asked.length, 3);
  });

  test(`${transport}: who cannot get through is told the place to resume at`, async (t) => {
    const { service, assistant } = await serving(t, {
      transport,
      retry: { attempts: 3, baseDelayMs: 0 },
    });
    service.usual = { cutAfter: 0 };
    service.behaviours = [{ cutAfter: 4 }];
    await assert.rejects(all(assistant.stream({ text: "x" })), {
      code: "CONNECTION_LOST",
      isRetryable: true,
      lastEventId: `${COMPLETION}:3`,
    });
    assert.equal(service.asked.length, 4);
    // The completion goes on: it was not left.
    assert.deepEqual(service.cancelled, []);
    service.usual = {};
    const rest = await all(assistant.resume(`${COMPLETION}:3`));
    assert.equal(rest.length, 8);
  });

  test(`${transport}: a service that is not there is reported`, async (t) => {
    const { service, assistant } = await serving(t, {
      transport,
      retry: { attempts: 2, baseDelayMs: 0 },
    });
    await service.stop();
    await assert.rejects(all(assistant.stream({ text: "x" })), { code: "CONNECTION_LOST" });
  });

  test(`${transport}: what becomes of the connection is told`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    service.behaviours = [{ cutAfter: 3 }];
    const states: ConnectionState[] = [];
    await assistant.stream({ text: "x" }, { onConnection: (state) => states.push(state) }).text;
    const place = `${COMPLETION}:2`;
    assert.deepEqual(
      states.map(({ state, lastEventId }) => [state, lastEventId]),
      [
        ["connecting", null],
        ["open", null],
        ["lost", place],
        ["connecting", place],
        ["open", place],
      ],
    );
  });

  test(`${transport}: a request that was turned away is sent again when the service says when`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    service.behaviours = [turnedAway(20), turnedAway(20)];
    const began = performance.now();
    assert.deepEqual(await all(assistant.stream({ text: "x" })), service.events);
    assert.ok(performance.now() - began >= 39);
    assert.equal(service.keys().size, 1);
  });

  for (const [what, behaviour] of [
    ["for longer than there is time", turnedAway(3_600_000)],
    ["without a time", turnedAway(null)],
  ] as const) {
    test(`${transport}: a request that was turned away ${what} is not sent again`, async (t) => {
      const { service, assistant } = await serving(t, { transport });
      service.behaviours = [behaviour];
      await assert.rejects(all(assistant.stream({ text: "x" })), { code: "RATE_LIMITED" });
      assert.equal(service.asked.length, 1);
    });
  }

  test(`${transport}: the replica that made it died: that is thrown, and may be tried again`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    service.behaviours = [{ cutAfter: 4 }, died()];
    await assert.rejects(all(assistant.stream({ text: "x" })), {
      code: "STREAM_INTERRUPTED",
      isRetryable: true,
    });
    assert.equal(service.asked.length, 2);
  });

  test(`${transport}: with restart it is begun anew under the same key`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    service.behaviours = [{ cutAfter: 4 }, died()];
    const stream = assistant.stream({ text: "x" }, { restart: true });
    const events = await all(stream);
    assert.deepEqual(events.slice(0, 4), service.events.slice(0, 4));
    assert.deepEqual(events.slice(4), service.events);
    assert.equal(stream.soFar, pieces(10).join(""));
    assert.equal(service.asked.filter((asked) => asked.request).length, 2);
    assert.equal(service.keys().size, 1);
  });

  test(`${transport}: a completion that always dies is not begun anew for ever`, async (t) => {
    const { service, assistant } = await serving(t, {
      transport,
      retry: { attempts: 3, baseDelayMs: 0 },
    });
    service.usual = {
      events: (events) => [...events.slice(0, 2), ...died().events!([events[2]!])],
    };
    await assert.rejects(all(assistant.stream({ text: "x" }, { restart: true })), {
      code: "STREAM_INTERRUPTED",
    });
    assert.equal(service.asked.length, 4);
  });

  test(`${transport}: the service loses its database for a moment: the stream goes on after it`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    service.behaviours = [{ cutAfter: 4 }, failing("INTERNAL_SERVER_ERROR", null)];
    assert.deepEqual(await all(assistant.stream({ text: "x" })), service.events);
  });
}

test("sse: cut at every byte, every event comes once", async () => {
  const events = answer(6);
  const bytes = new TextEncoder().encode(recording(events));
  const position = (body: string) => {
    const { resume } = JSON.parse(body);
    return resume?.lastEventId ? Number(resume.lastEventId.split(":")[1]) + 1 : 0;
  };
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    let asked = 0;
    const assistant = new Assistant({
      url: "http://service.example",
      retry: { baseDelayMs: 0 },
      fetch: async (_, init) => {
        asked += 1;
        const rest = recording(events.slice(position(String(init!.body))));
        const sent = asked === 1 ? bytes.subarray(0, cut) : new TextEncoder().encode(rest);
        const isCut = asked === 1;
        let isSent = false;
        const body = new ReadableStream({
          pull(controller) {
            if (!isSent) controller.enqueue(sent);
            else if (isCut) controller.error(new TypeError("terminated"));
            else controller.close();
            isSent = true;
          },
        });
        return new Response(body, { headers: { "content-type": "text/event-stream" } });
      },
    });
    const stream = assistant.stream({ text: "x" });
    assert.deepEqual(await all(stream), events, `cut after ${cut} bytes`);
    assert.equal(stream.soFar, await stream.text);
  }
});

test("sse: a 503 of a proxy's is waited for as long as its Retry-After says", async (t) => {
  const { service, assistant } = await serving(t);
  service.behaviours = [
    { status: 503, headers: { "retry-after": "1" }, body: "<html>deploying</html>" },
    { status: 502 },
  ];
  const began = performance.now();
  assert.deepEqual(await all(assistant.stream({ text: "x" })), service.events);
  assert.ok(performance.now() - began >= 999);
});

test("websocket: who reads too slowly resumes instead of filling the memory", async (t) => {
  const events = answer(6_000);
  const { service, assistant } = await serving(t, { transport: "websocket" }, events);
  let count = 0;
  for await (const event of assistant.stream({ text: "x" })) {
    if (count === 0) await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(event.sequence, count);
    count += 1;
  }
  assert.equal(count, 6_000);
  assert.equal(service.asked.length, 2);
});

function failing(code: string, retryAfterMs: number | null): Behaviour {
  const failure = { type: "CompletionFailed", code, message: "x", isRetryable: true, retryAfterMs };
  return { events: ([next]) => [{ ...next!, ...failure } as WireEvent] };
}

function turnedAway(retryAfterMs: number | null): Behaviour {
  return failing("RATE_LIMITED", retryAfterMs);
}

function died(): Behaviour {
  return failing("STREAM_INTERRUPTED", null);
}
