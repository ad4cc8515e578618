import assert from "node:assert/strict";
import { test } from "node:test";

import { COMPLETION } from "./recorded.js";
import { all, serving, TRANSPORTS, until } from "./serving.js";

for (const transport of TRANSPORTS) {
  test(`${transport}: aborting ends the stream with the signal's reason and cancels the completion`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    service.behaviours = [{ stallAfter: 3 }];
    const controller = new AbortController();
    const stream = assistant.stream({ text: "x" }, { signal: controller.signal });
    const reading = all(stream);
    await until(() => stream.lastEventId === `${COMPLETION}:2`);
    controller.abort(new Error("changed my mind"));
    await assert.rejects(reading, { message: "changed my mind" });
    await assert.rejects(stream.response, { message: "changed my mind" });
    await until(() => service.open === 0 && service.cancelled.length > 0);
    assert.deepEqual(service.cancelled, [COMPLETION]);
  });

  test(`${transport}: aborting counts at once, also when nobody asks for the next event`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    service.behaviours = [{ stallAfter: 3 }];
    const controller = new AbortController();
    const stream = assistant.stream({ text: "x" }, { signal: controller.signal });
    await stream[Symbol.asyncIterator]().next();
    controller.abort();
    await until(() => service.open === 0 && service.cancelled.length > 0);
    await assert.rejects(stream.text, { name: "AbortError" });
  });

  test(`${transport}: after an abort no event is yielded, even one that had arrived`, async (t) => {
    const { assistant } = await serving(t, { transport });
    const controller = new AbortController();
    const seen: number[] = [];
    await assert.rejects(async () => {
      const options = { signal: controller.signal };
      for await (const event of assistant.stream({ text: "x" }, options)) {
        seen.push(event.sequence);
        if (event.sequence === 4) controller.abort();
      }
    }, { name: "AbortError" });
    assert.deepEqual(seen, [0, 1, 2, 3, 4]);
  });

  test(`${transport}: break cancels the completion`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    const stream = assistant.stream({ text: "x" });
    for await (const event of stream) if (event.sequence === 4) break;
    await until(() => service.open === 0 && service.cancelled.length > 0);
    assert.deepEqual(service.cancelled, [COMPLETION]);
    await assert.rejects(stream.text, { code: "CANCELLED" });
  });

  test(`${transport}: break at the last event cancels nothing`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    const stream = assistant.stream({ text: "x" });
    for await (const event of stream) if (event.type === "CompletionFinished") break;
    await until(() => service.open === 0);
    assert.deepEqual(service.cancelled, []);
    assert.equal((await stream.response).status, "SUCCEEDED");
  });

  test(`${transport}: an error of a callback's ends the stream and cancels the completion`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    const onText = () => {
      throw new Error("the page is gone");
    };
    await assert.rejects(assistant.stream({ text: "x" }, { onText }).text, {
      message: "the page is gone",
    });
    await until(() => service.cancelled.length > 0);
  });

  test(`${transport}: an abort while it waits for the next try ends the wait`, async (t) => {
    const { service, assistant } = await serving(t, {
      transport,
      retry: { baseDelayMs: 600_000, maxDelayMs: 600_000, maxElapsedMs: 6_000_000 },
    });
    service.behaviours = [{ cutAfter: 3 }];
    const controller = new AbortController();
    const onConnection = ({ state }: { state: string }) => {
      if (state === "lost") controller.abort();
    };
    const stream = assistant.stream({ text: "x" }, { signal: controller.signal, onConnection });
    await assert.rejects(all(stream), { name: "AbortError" });
    await until(() => service.cancelled.length > 0);
  });

  test(`${transport}: what was aborted before its first event is asked for its name by its key`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    service.behaviours = [{ stallAfter: 0 }];
    const controller = new AbortController();
    let isOpen = false;
    const stream = assistant.stream(
      { text: "x" },
      { signal: controller.signal, onConnection: ({ state }) => (isOpen ||= state === "open") },
    );
    const reading = all(stream);
    await until(() => isOpen && service.asked.length === 1);
    controller.abort();
    await assert.rejects(reading, { name: "AbortError" });
    await until(() => service.cancelled.length > 0 && service.open === 0);
    assert.deepEqual(service.cancelled, [COMPLETION]);
    assert.equal(service.keys().size, 1);
  });

  test(`${transport}: a signal that was aborted before asks for nothing`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    const stream = assistant.stream({ text: "x" }, { signal: AbortSignal.abort() });
    await assert.rejects(all(stream), { name: "AbortError" });
    assert.equal(service.asked.length, 0);
  });

  test(`${transport}: cancel asks the service to stop, also before the first event, and reads on`, async (t) => {
    const { service, assistant } = await serving(t, { transport });
    const stream = assistant.stream({ text: "x" });
    const reading = all(stream);
    await stream.cancel();
    assert.deepEqual(service.cancelled, [COMPLETION]);
    assert.equal((await reading).length, 12);
  });

  test(`${transport}: cancelling what has failed without a name does nothing`, async (t) => {
    const { service, assistant } = await serving(t, { transport, retry: { attempts: 0 } });
    await service.stop();
    const stream = assistant.stream({ text: "x" });
    await assert.rejects(stream.text);
    await stream.cancel();
  });
}

test("nobody has to wait for a stream that fails", async (t) => {
  const { service, assistant } = await serving(t, { retry: { attempts: 0 } });
  await service.stop();
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on("unhandledRejection", note);
  t.after(() => process.off("unhandledRejection", note));
  const stream = assistant.stream({ text: "x" });
  await assert.rejects(all(stream), { code: "CONNECTION_LOST" });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(unhandled, []);
});
