// The page of stream.html. Opened with ?service=<address> it asks a service elsewhere.
import { Assistant, AssistantError } from "./client/index.js";

const url =
  new URLSearchParams(location.search).get("service") ?? `http://${location.hostname}:8090`;

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const answer = element("answer");
const send = /** @type {HTMLButtonElement} */ (element("send"));
const cut = /** @type {HTMLButtonElement} */ (element("cut"));
const cancel = /** @type {HTMLButtonElement} */ (element("cancel"));

// ------------------------------------------------------------------- scissors

// What the page cuts is the network under the client, which is told nothing of it: a fetch that
// can be made to fail, and sockets that can be made to close.
let scissors = new AbortController();
/** @type {Set<WebSocket>} */
const sockets = new Set();

/** @type {typeof fetch} */
const cuttableFetch = (input, init) => {
  const signals = [scissors.signal, ...(init?.signal ? [init.signal] : [])];
  return fetch(input, { ...init, signal: AbortSignal.any(signals) });
};

class CuttableSocket extends WebSocket {
  /**
   * @param {string} address
   * @param {string} protocol
   */
  constructor(address, protocol) {
    super(address, protocol);
    sockets.add(this);
    this.addEventListener("close", () => sockets.delete(this));
  }
}

function cutEverything() {
  scissors.abort(new TypeError("somebody cut the cable"));
  scissors = new AbortController();
  for (const socket of sockets) socket.close();
}

// ------------------------------------------------------------------- what is shown

/**
 * @param {"streaming" | "reconnecting" | "resumed" | "finished" | "cancelled" | "failed"} state
 * @param {string} words
 */
function show(state, words) {
  const status = element("status");
  status.dataset["state"] = state;
  status.textContent = words;
}

/** @param {string} words */
function note(words) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString();
  item.append(time, words);
  element("log").append(item);
  element("log").hidden = false;
}

/** @param {Node | string} piece */
function write(piece) {
  const isAtEnd = answer.scrollHeight - answer.scrollTop - answer.clientHeight < 40;
  answer.append(piece);
  if (isAtEnd) answer.scrollTop = answer.scrollHeight;
}

/** @param {boolean} isRunning */
function run(isRunning) {
  send.disabled = isRunning;
  cut.disabled = cancel.disabled = !isRunning;
  answer.classList.toggle("is-running", isRunning);
}

/** @param {string | null} eventId */
const placeOf = (eventId) =>
  eventId === null ? "before the first event" : `after event ${eventId.split(":")[1]}`;

/**
 * @param {import("./client/index.js").CompletionResponse} response
 * @param {number} connections
 */
function sum(response, connections) {
  const { usage } = response;
  const about = usage.isEstimated ? "about " : "";
  const verdicts = {
    MISS: "a model answered",
    EXACT: "the same was asked before",
    SEMANTIC: "much the same was asked before",
    COALESCED: "shared with another request",
    BYPASSED: "not asked",
  };
  element("model").textContent = response.model.id;
  element("tokens").textContent = `${about}${usage.promptTokens} + ${usage.completionTokens}`;
  element("cost").textContent = usage.isPriced
    ? `${usage.cost.amount} ${usage.cost.currency}`
    : "no price known";
  element("cache").textContent = `${response.cache}: ${verdicts[response.cache]}`;
  element("time").textContent = `${(response.latencyMs / 1000).toFixed(1)} s`;
  element("connections").textContent = String(connections);
  element("sums").hidden = false;
}

// ------------------------------------------------------------------- asking

/**
 * @param {string} text
 * @param {"sse" | "websocket"} transport
 */
async function ask(text, transport) {
  const assistant = new Assistant({
    url,
    transport,
    fetch: cuttableFetch,
    WebSocket: CuttableSocket,
  });
  answer.replaceChildren();
  element("log").replaceChildren();
  element("sums").hidden = true;
  element("count").textContent = "";
  show("streaming", "Asking …");
  run(true);

  let events = 0;
  let connections = 0;
  let losses = 0;
  const leaving = new AbortController();
  const stream = assistant.stream(
    { text },
    {
      signal: leaving.signal,
      onConnection(change) {
        const place = placeOf(change.lastEventId);
        if (change.state === "lost") {
          const wait = (change.retryInMs / 1000).toFixed(1);
          show("reconnecting", `Connection lost ${place}, again in ${wait} s`);
          note(`Lost ${place}: ${change.reason}`);
          if (connections === 0 && (losses += 1) === 1) {
            // A page is not told which of the two it is.
            note(`Is a service at ${url}, with ASSISTANT_ALLOWED_ORIGINS=${location.origin}?`);
          }
        } else if (change.state === "open") {
          connections += 1;
          if (change.lastEventId === null) {
            show("streaming", "Streaming");
            return note("Connected");
          }
          const mark = document.createElement("mark");
          mark.textContent = `resumed ${place}`;
          write(mark);
          show("resumed", `Resumed ${place}`);
          note(`Resumed ${place}`);
        }
      },
      onText(piece, soFar) {
        if (soFar === "") answer.replaceChildren();
        else write(piece);
      },
      onEvent() {
        events += 1;
        element("count").textContent = `${events} events`;
      },
    },
  );
  cut.onclick = () => {
    note("You cut the connection");
    cutEverything();
  };
  cancel.onclick = () => {
    cancel.disabled = true;
    note("You asked to cancel");
    // Before the first event nothing would be left to wait for.
    if (stream.completionId === null) leaving.abort();
    else stream.cancel().catch((error) => note(`Not cancelled: ${error.message}`));
  };

  try {
    const response = await stream.response;
    if (response.status === "CANCELLED") {
      show("cancelled", "Cancelled; what there was is kept, and paid");
    } else {
      show("finished", connections > 1 ? "Finished; nothing lost, nothing twice" : "Finished");
    }
    sum(response, connections);
  } catch (error) {
    if (leaving.signal.aborted) show("cancelled", "Cancelled before it began");
    else if (error instanceof AssistantError) show("failed", `${error.code}: ${error.message}`);
    else throw error;
  } finally {
    run(false);
  }
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = /** @type {HTMLTextAreaElement} */ (element("question")).value.trim();
  const { value } = /** @type {HTMLSelectElement} */ (element("transport"));
  void ask(question, value === "websocket" ? "websocket" : "sse");
});
