/** @internal The GraphQL that is spoken: all fields that schema.ts has, and no others. */
const RESPONSE = `
fragment Response on CompletionResponse {
  id text json status finishReason cache latencyMs createdAt
  model { id }
  promptVersion { id }
  usage {
    promptTokens completionTokens totalTokens cachedTokens reasoningTokens isEstimated isPriced
    cost { amount currency }
  }
}`;

const EVENT = `
fragment Event on CompletionChunk {
  __typename eventId completionId sequence
  ... on CompletionStarted { model { id } promptVersion { id } createdAt }
  ... on TokenDelta { text }
  ... on ReasoningDelta { text }
  ... on CompletionRestarted { model { id } reason }
  ... on CompletionContinued { model { id } reason }
  ... on CompletionFinished { response { ...Response } }
  ... on CompletionFailed { code message isRetryable retryAfterMs }
}${RESPONSE}`;

/** @internal */
export const COMPLETE = `
mutation Complete($input: CompletionRequest!) {
  generateCompletion(input: $input) { ...Response }
}${RESPONSE}`;

/** @internal */
export const CANCEL = `
mutation Cancel($id: ID!) {
  cancelCompletion(id: $id) { completion { ...Response } userErrors { code message } }
}${RESPONSE}`;

/** @internal */
export const STREAM = `
subscription Stream($input: CompletionRequest!) {
  completionStream(input: $input) { ...Event }
}${EVENT}`;

/** @internal */
export const RESUME = `
subscription Resume($resume: ResumeCompletion!) {
  completionStream(resume: $resume) { ...Event }
}${EVENT}`;
