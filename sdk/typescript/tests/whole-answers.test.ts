import assert from "node:assert/strict";
import { test } from "node:test";

import { COMPLETION } from "./recorded.js";
import { serving } from "./serving.js";

function refusal(code: string, extensions: Record<string, unknown> = {}) {
  return { data: null, errors: [{ message: "No.", extensions: { code, ...extensions } }] };
}

test("complete answers with the whole response", async (t) => {
  const { service, assistant } = await serving(t);
  const answer = await assistant.complete({ text: "hello", cache: "BYPASS" });
  assert.equal(answer.text, "whole");
  assert.equal(answer.usage.cost.currency, "USD");
  const { idempotencyKey, ...rest } = service.generated[0]!;
  assert.deepEqual(rest, { text: "hello", cache: "BYPASS" });
  assert.match(String(idempotencyKey), /^[0-9a-f-]{36}$/);
});

test("complete tries again under the same key when it was cut, or a proxy is busy", async (t) => {
  const { service, assistant } = await serving(t);
  service.answers = ["cut", { status: 503 }, "cut"];
  assert.equal((await assistant.complete({ text: "x" })).text, "whole");
  assert.equal(service.generated.length, 4);
  assert.equal(new Set(service.generated.map((input) => input["idempotencyKey"])).size, 1);
});

test("complete throws what the service refuses, with what it says of it", async (t) => {
  const { service, assistant } = await serving(t);
  service.answers = [refusal("BAD_USER_INPUT", { inputPath: ["input", "text"] })];
  await assert.rejects(assistant.complete({ text: "" }), {
    code: "BAD_USER_INPUT",
    message: "No.",
    isRetryable: false,
    extensions: { code: "BAD_USER_INPUT", inputPath: ["input", "text"] },
  });
  assert.equal(service.generated.length, 1);
});

test("complete waits when the service says how long, and does not guess where it is silent", async (t) => {
  const { service, assistant } = await serving(t);
  service.answers = [refusal("RATE_LIMITED", { isRetryable: true, retryAfterMs: 30 })];
  assert.equal((await assistant.complete({ text: "x" })).text, "whole");
  const unavailable = { isRetryable: true, completionId: COMPLETION };
  service.answers = [refusal("PROVIDER_UNAVAILABLE", unavailable)];
  await assert.rejects(assistant.complete({ text: "x" }), {
    code: "PROVIDER_UNAVAILABLE",
    isRetryable: true,
    completionId: COMPLETION,
  });
  assert.equal(service.generated.length, 3);
});

test("complete gives up after its attempts", async (t) => {
  const { service, assistant } = await serving(t, { retry: { attempts: 2, baseDelayMs: 0 } });
  service.answers = ["cut", "cut", "cut", "cut"];
  await assert.rejects(assistant.complete({ text: "x" }), { code: "CONNECTION_LOST" });
  assert.equal(service.generated.length, 3);
});

test("complete ends at once when it is aborted", async (t) => {
  const { assistant } = await serving(t, {
    fetch: (_, init) =>
      new Promise((_resolve, reject) => {
        const { signal } = init!;
        if (signal!.aborted) return reject(signal!.reason);
        signal!.addEventListener("abort", () => reject(signal!.reason));
      }),
  });
  const controller = new AbortController();
  const answer = assistant.complete({ text: "x" }, { signal: controller.signal });
  controller.abort();
  await assert.rejects(answer, { name: "AbortError" });
});

test("cancel returns the completion as it ended", async (t) => {
  const { service, assistant } = await serving(t);
  const completion = await assistant.cancel(COMPLETION);
  assert.equal(completion?.status, "CANCELLED");
  assert.deepEqual(service.cancelled, [COMPLETION]);
});
