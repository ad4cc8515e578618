export { Assistant } from "./assistant.js";
export type {
  AssistantOptions,
  CallOptions,
  ResumeOptions,
  StreamOptions,
} from "./assistant.js";
export { CompletionStream } from "./completion-stream.js";
export type { StreamCallbacks } from "./completion-stream.js";
export { AssistantError } from "./errors.js";
export type { ClientErrorCode } from "./errors.js";
export type { ConnectionState } from "./followed-events.js";
export type { RetryOptions } from "./patience.js";
export type * from "./schema.js";
export type { HeadersSource } from "./service.js";
export type { WebSocketConstructor, WebSocketLike } from "./websocket-transport.js";
