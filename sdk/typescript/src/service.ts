import type { Clock } from "./clock.js";
import { AssistantError, errorOfJson, Interruption, isObject, thrown } from "./errors.js";

/** What headers are given as. */
export type HeadersSource = Headers | Record<string, string> | [string, string][];

/** @internal Where the service is, and how requests get there. */
export interface Service {
  url: URL;
  /** Asked before every connection, so that a token may be renewed meanwhile. */
  headers: () => HeadersSource | Promise<HeadersSource>;
  fetch: typeof globalThis.fetch;
  clock: Clock;
  /** A connection that nothing comes over for so long is cut. */
  silenceMs: number;
}

/** @internal An address of the service, below the one that was given. */
export function address(service: Service, path: string): URL {
  const url = new URL(service.url);
  url.pathname = url.pathname.replace(/\/+$/, "") + path;
  return url;
}

/** @internal POST a JSON body. Throws Interruption where nothing is answered. */
export async function post(
  service: Service,
  path: string,
  body: unknown,
  signal: AbortSignal,
  extra: { accept: string; keepalive?: boolean },
): Promise<Response> {
  const headers = new Headers(await service.headers());
  headers.set("content-type", "application/json");
  headers.set("accept", extra.accept);
  const init: RequestInit = { method: "POST", headers, body: JSON.stringify(body), signal };
  if (extra.keepalive) init.keepalive = true;
  try {
    return await service.fetch(address(service, path).href, init);
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw new Interruption(`The request failed: ${wording(cause)}`, { cause });
  }
}

/** @internal A refusal by HTTP: what the body says, and whether another try may do better. */
export async function refusalOf(response: Response): Promise<AssistantError | Interruption> {
  const { status } = response;
  const said = errorOfBody(await jsonOf(response));
  const retryAfterMs = said?.retryAfterMs ?? retryAfterMsOf(response);
  const words = `The service answered with status ${status}.`;
  const mayPass = status >= 500 || status === 408 || status === 425;
  // What stands before the service has said this, not the service.
  if (!said && mayPass) return new Interruption(words, { retryAfterMs });
  const isRetryable = said?.extensions["isRetryable"];
  const error = new AssistantError(said?.code ?? codeOfStatus(status), said?.message ?? words, {
    isRetryable: typeof isRetryable === "boolean" ? isRetryable : mayPass || status === 429,
    retryAfterMs,
    completionId: said?.completionId,
    extensions: said?.extensions,
  });
  return thrown(error);
}

/** @internal One GraphQL operation's data. Throws AssistantError and Interruption. */
export async function execute(
  service: Service,
  query: string,
  variables: Record<string, unknown>,
  signal: AbortSignal,
  extra: { keepalive?: boolean } = {},
): Promise<Record<string, unknown>> {
  const accept = "application/graphql-response+json, application/json;q=0.9";
  const response = await post(service, "/graphql", { query, variables }, signal, {
    accept,
    ...extra,
  });
  let body: unknown;
  try {
    body = JSON.parse(await response.text());
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (!response.ok) throw await refusalOf(response);
    throw new Interruption("The answer was cut, or is not the service's.", { cause });
  }
  const errors = isObject(body) ? body["errors"] : undefined;
  if (Array.isArray(errors) && errors.length > 0) {
    const error = errorOfJson(errors[0]);
    if (error) throw thrown(error);
  }
  if (isObject(body) && isObject(body["data"])) return body["data"];
  if (!response.ok) throw await refusalOf(response);
  throw new Interruption("The answer is not the service's: something stands in between.");
}

/** @internal Rejects with an Interruption when `promise` takes longer than a silence may. */
export async function unlessSilent<T>(
  service: Service,
  promise: Promise<T>,
  controller: AbortController,
): Promise<T> {
  let isSilent = false;
  const forget = service.clock.after(service.silenceMs, () => {
    isSilent = true;
    controller.abort();
  });
  try {
    return await promise;
  } catch (error) {
    if (isSilent) throw new Interruption(`Nothing came for ${service.silenceMs} ms.`);
    throw error;
  } finally {
    forget();
  }
}

/** @internal What is known of an error that is not ours. */
export function wording(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function errorOfBody(body: unknown): AssistantError | null {
  if (!isObject(body)) return null;
  const { error, errors } = body;
  return errorOfJson(Array.isArray(errors) ? errors[0] : error);
}

async function jsonOf(response: Response): Promise<unknown> {
  if (response.bodyUsed) return null;
  try {
    return await response.json();
  } catch {
    return null; // A proxy's page, or nothing: the status says enough.
  }
}

/** Source: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3 (seconds, or a date) */
function retryAfterMsOf(response: Response): number | null {
  const value = response.headers.get("retry-after");
  if (!value) return null;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - Date.now());
}

function codeOfStatus(status: number): AssistantError["code"] {
  switch (status) {
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "FORBIDDEN";
    case 404:
      return "NOT_FOUND";
    case 409:
      return "CONFLICT";
    case 429:
      return "RATE_LIMITED";
    default:
      return status >= 500 ? "INTERNAL_SERVER_ERROR" : "BAD_USER_INPUT";
  }
}
