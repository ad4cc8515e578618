/** What is sent to the service and what it answers, as its GraphQL schema has it. */

/** Why a completion failed. */
export type ErrorCode =
  | "BAD_USER_INPUT"
  | "UNAUTHENTICATED"
  | "FORBIDDEN"
  | "NOT_FOUND"
  | "CONFLICT"
  | "RATE_LIMITED"
  | "BUDGET_EXCEEDED"
  | "CONTENT_FILTERED"
  | "CONTEXT_LENGTH_EXCEEDED"
  | "PROVIDER_UNAVAILABLE"
  | "PROVIDER_REJECTED"
  | "PROVIDER_TIMEOUT"
  | "STREAM_INTERRUPTED"
  | "INVALID_RESPONSE"
  | "TOOL_FAILED"
  | "RESUME_EXPIRED"
  | "CANCELLED"
  | "INTERNAL_SERVER_ERROR";

export interface Message {
  role: "SYSTEM" | "USER" | "ASSISTANT" | "TOOL";
  content: string;
  /** Which call a TOOL message answers. */
  toolCallId?: string;
}

/** How to generate; what is left out is left to the prompt, then to the model. */
export interface GenerationParameters {
  temperature?: number;
  topP?: number;
  maxTokens?: number;
  stop?: string[];
  seed?: number;
  /** Bounds the whole completion, all attempts together. */
  timeoutMs?: number;
}

/** Exactly one of promptName, messages and text says what to complete. */
export interface CompletionRequest {
  /** A prompt of the catalog, rendered with `variables`. */
  promptName?: string;
  /** Defaults to what the prompt's rollout gives this caller. */
  promptVersion?: number;
  variables?: Record<string, unknown>;
  messages?: Message[];
  /** Shorthand for one user message. */
  text?: string;
  /** A model id, a model's name without its provider, or a group; else the routing chooses. */
  model?: string;
  parameters?: GenerationParameters;
  /** A JSON Schema (draft 2020-12) that the answer must satisfy. */
  responseSchema?: unknown;
  requiresAccuracy?: boolean;
  strategy?: "LOCAL_FIRST" | "LOCAL_ONLY" | "CLOUD_FIRST" | "CLOUD_ONLY" | "FASTEST" | "CHEAPEST";
  /** What to do when a provider breaks off after text was streamed. */
  onInterruption?: "ERROR" | "RESTART" | "CONTINUE";
  cache?: "DEFAULT" | "EXACT_ONLY" | "BYPASS" | "REFRESH";
  /** Repeating it returns the first result; a new one for each request where it is left out. */
  idempotencyKey?: string;
  /** What part of the calling service this is for. */
  feature?: string;
  metadata?: Record<string, unknown>;
}

export interface Money {
  /** An exact decimal number, as in "0.00012"; never a float. */
  amount: string;
  currency: string;
}

export interface TokenUsage {
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
  cachedTokens: number;
  reasoningTokens: number;
  isEstimated: boolean;
  /** At least this, where `isPriced` is false. */
  cost: Money;
  isPriced: boolean;
}

/** A completion: its answer and how it came about. */
export interface CompletionResponse {
  id: string;
  text: string;
  /** The parsed answer, where a response schema was given. */
  json: unknown;
  status: "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED";
  finishReason:
    | "STOP"
    | "LENGTH"
    | "TOOL_CALLS"
    | "CONTENT_FILTER"
    | "CANCELLED"
    | "ERROR"
    | null;
  model: ModelReference;
  promptVersion: { id: string } | null;
  usage: TokenUsage;
  /** Whether the cache answered, and how. */
  cache: "MISS" | "EXACT" | "SEMANTIC" | "COALESCED" | "BYPASSED";
  latencyMs: number;
  /** RFC 3339, in UTC. */
  createdAt: string;
}

export interface ModelReference {
  /** provider/name, as in ollama/llama3.2:3b. */
  id: string;
}

interface Numbered {
  /** What `Assistant.resume` goes on after. */
  eventId: string;
  completionId: string;
  /** 0-based, gap-free. */
  sequence: number;
}

/** A model was chosen and has begun to answer. There is no text yet. */
export interface CompletionStarted extends Numbered {
  type: "CompletionStarted";
  model: ModelReference;
  promptVersion: { id: string } | null;
  createdAt: string;
}

/** The next piece of the answer. */
export interface TokenDelta extends Numbered {
  type: "TokenDelta";
  text: string;
}

/** The next piece of what the model thinks before it answers. */
export interface ReasoningDelta extends Numbered {
  type: "ReasoningDelta";
  text: string;
}

/** Another model starts over: what was streamed so far is void. */
export interface CompletionRestarted extends Numbered {
  type: "CompletionRestarted";
  model: ModelReference;
  reason: ErrorCode;
}

/** Another model goes on from the text so far. */
export interface CompletionContinued extends Numbered {
  type: "CompletionContinued";
  model: ModelReference;
  reason: ErrorCode;
}

/** Ends the stream: the answer is whole, or somebody has cancelled it (`response.status`). */
export interface CompletionFinished extends Numbered {
  type: "CompletionFinished";
  response: CompletionResponse;
}

/** What a stream is made of. That it failed is an AssistantError instead, which ends it. */
export type CompletionEvent =
  | CompletionStarted
  | TokenDelta
  | ReasoningDelta
  | CompletionRestarted
  | CompletionContinued
  | CompletionFinished;

/** @internal How a failure comes over the wire. */
export interface CompletionFailed extends Numbered {
  type: "CompletionFailed";
  code: ErrorCode;
  message: string;
  isRetryable: boolean;
  retryAfterMs: number | null;
}

/** @internal */
export type WireEvent = CompletionEvent | CompletionFailed;
