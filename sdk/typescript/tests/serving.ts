import type { TestContext } from "node:test";

import { Assistant } from "../src/assistant.js";
import type { AssistantOptions } from "../src/assistant.js";
import type { CompletionStream } from "../src/completion-stream.js";
import type { CompletionEvent, WireEvent } from "../src/schema.js";
import { answer } from "./recorded.js";
import { MisbehavingService } from "./misbehaving-service.js";

export const TRANSPORTS = ["sse", "websocket"] as const;
export type TransportName = (typeof TRANSPORTS)[number];

/** A service with an answer of so many events, and a client that does not wait between tries. */
export async function serving(
  t: TestContext,
  options: Partial<AssistantOptions> = {},
  events: WireEvent[] = answer(12),
): Promise<{ service: MisbehavingService; assistant: Assistant }> {
  const service = new MisbehavingService(events);
  const url = await service.start();
  t.after(() => service.stop());
  const assistant = new Assistant({ url, retry: { baseDelayMs: 0 }, ...options });
  return { service, assistant };
}

/** Everything that iterating yields. */
export async function all(stream: CompletionStream): Promise<CompletionEvent[]> {
  const events: CompletionEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

/** Waits until `condition` holds; fails the test if it never does. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`it never came true: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
