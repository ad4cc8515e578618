import assert from "node:assert/strict";
import { test } from "node:test";

import { AssistantError, Interruption } from "../src/errors.js";
import { Patience } from "../src/patience.js";
import { FakeClock } from "./fake-clock.js";

const cut = new Interruption("cut");
const planned = new Interruption("planned", { isPlanned: true });

function delays(patience: Patience, interruption: Interruption, count: number): (number | null)[] {
  return Array.from({ length: count }, () => patience.next(interruption));
}

test("waits grow twice as long each time, up to the longest, and stop after the last attempt", () => {
  const patience = new Patience(
    { attempts: 6, baseDelayMs: 100, maxDelayMs: 1_000 },
    new FakeClock(0.999_999),
  );
  const waits = delays(patience, cut, 7).map((ms) => (ms === null ? null : Math.round(ms)));
  assert.deepEqual(waits, [100, 200, 400, 800, 1000, 1000, null]);
});

test("the jitter is full: a wait may be nothing", () => {
  const patience = new Patience({ attempts: 3 }, new FakeClock(0));
  assert.deepEqual(delays(patience, cut, 4), [0, 0, 0, null]);
});

test("the service's retry is where waits begin, unless the caller has said another", () => {
  const suggested = new Patience({}, new FakeClock(0.5));
  suggested.suggestedDelayMs = 1_000;
  assert.equal(suggested.next(cut), 500);
  const told = new Patience({ baseDelayMs: 10 }, new FakeClock(0.5));
  told.suggestedDelayMs = 1_000;
  assert.equal(told.next(cut), 5);
});

test("who was sent away in a planned way comes back at once, but only after some news", () => {
  const patience = new Patience({ baseDelayMs: 100 }, new FakeClock(0.5));
  assert.deepEqual(delays(patience, planned, 3), [0, 100, 200]);
  patience.renew();
  assert.equal(patience.next(planned), 0);
});

test("news begin it all anew", () => {
  const patience = new Patience({ attempts: 2, baseDelayMs: 100 }, new FakeClock(0.5));
  assert.deepEqual(delays(patience, cut, 3), [50, 100, null]);
  patience.renew();
  assert.deepEqual(delays(patience, cut, 3), [50, 100, null]);
});

test("no wait is shorter than the service said, and not all end at the same moment", () => {
  const patience = new Patience({ baseDelayMs: 100 }, new FakeClock(0.5));
  assert.equal(patience.next(new Interruption("busy", { retryAfterMs: 3_000 })), 3_050);
});

test("it is given up at once when the service asks for more time than there is", () => {
  const patience = new Patience({ maxElapsedMs: 60_000 }, new FakeClock());
  assert.equal(patience.next(new Interruption("busy", { retryAfterMs: 61_000 })), null);
});

test("it is given up after the longest time, waits and attempts together", () => {
  const clock = new FakeClock(0);
  const patience = new Patience({ attempts: 100, maxElapsedMs: 1_000 }, clock);
  assert.equal(patience.next(cut), 0);
  clock.advance(900);
  assert.equal(patience.next(cut), 0);
  clock.advance(101);
  assert.equal(patience.next(cut), null);
});

test("what is thrown in the end is what the service said, else CONNECTION_LOST with the place", async () => {
  const { signal } = new AbortController();
  const busy = new AssistantError("RATE_LIMITED", "Slower", { isRetryable: true });
  const wait = (interruption: Interruption) =>
    new Patience({ attempts: 0 }, new FakeClock()).wait(interruption, signal, "c:7");
  await assert.rejects(wait(new Interruption("busy", { error: busy })), busy);
  const lost = { code: "CONNECTION_LOST", lastEventId: "c:7", isRetryable: true };
  await assert.rejects(wait(cut), lost);
});

test("a wait ends when it is aborted", async () => {
  const controller = new AbortController();
  const waiting = new Patience({ baseDelayMs: 60_000 }, new FakeClock()).wait(
    cut,
    controller.signal,
    null,
  );
  controller.abort(new Error("enough"));
  await assert.rejects(waiting, { message: "enough" });
});
