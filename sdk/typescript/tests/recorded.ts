/** An answer as the service streams it. */
import type { CompletionResponse, WireEvent } from "../src/schema.js";

export const COMPLETION = "01890a5d-ac96-774b-bcce-b302099a8057";
const PIECES = ["The ", "quick ", "brün ", "🦊", "\n", "jumps\u2028", "over ", '"them" ', "\\ "];

/** The texts of so many pieces; no two follow each other alike. */
export function pieces(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${PIECES[n % PIECES.length]}${n}`);
}

export function responseOf(id: string, text: string, status = "SUCCEEDED"): CompletionResponse {
  return {
    id,
    text,
    json: null,
    status: status as CompletionResponse["status"],
    finishReason: status === "CANCELLED" ? "CANCELLED" : "STOP",
    model: { id: "ollama/llama3.2:3b" },
    promptVersion: null,
    usage: {
      promptTokens: 12,
      completionTokens: 198,
      totalTokens: 210,
      cachedTokens: 0,
      reasoningTokens: 0,
      isEstimated: false,
      isPriced: true,
      cost: { amount: "0.00042", currency: "USD" },
    },
    cache: "MISS",
    latencyMs: 321,
    createdAt: "2026-03-01T12:00:00Z",
  };
}

/** `count` events: one that starts, pieces of text, one that finishes. */
export function answer(count: number, id = COMPLETION): WireEvent[] {
  const texts = pieces(count - 2);
  const numbered = (sequence: number) => ({
    eventId: `${id}:${sequence}`,
    completionId: id,
    sequence,
  });
  return [
    {
      ...numbered(0),
      type: "CompletionStarted",
      model: { id: "ollama/llama3.2:3b" },
      promptVersion: null,
      createdAt: "2026-03-01T12:00:00Z",
    },
    ...texts.map((text, n): WireEvent => ({ ...numbered(n + 1), type: "TokenDelta", text })),
    {
      ...numbered(count - 1),
      type: "CompletionFinished",
      response: responseOf(id, texts.join("")),
    },
  ];
}

/** How `/api/stream` writes an event. */
export function frame({ type, ...fields }: WireEvent): string {
  return `id: ${fields.eventId}\nevent: ${type}\ndata: ${JSON.stringify(fields)}\n\n`;
}

export const OPENING = "retry: 1000\n\n";

export function recording(events: WireEvent[]): string {
  return OPENING + events.map(frame).join("") + ": keep-alive\n\n";
}
