/** One event of a text/event-stream. `type` is "message" where none was given. */
export interface ServerSentEvent {
  type: string;
  data: string;
  /** The last id so far, of this event or an earlier one; empty where there was none. */
  lastEventId: string;
}

/** An event that is longer is not one of ours, and would take the memory of its reader. */
const MAX_EVENT_CHARACTERS = 32 * 1024 * 1024;

/**
 * Turns the bytes of a text/event-stream into events, however they are cut into pieces.
 *
 * What is not ended by an empty line is never an event: a connection that is cut in the middle of
 * one leaves nothing of it.
 *
 * Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export class EventStreamParser {
  /** How long the service wants its clients to wait before they connect again. */
  retryMs: number | null = null;

  // Takes a byte order mark away, keeps an incomplete character, and puts U+FFFD for broken ones.
  readonly #decoder = new TextDecoder("utf-8");
  #line = "";
  /** Whether the last line ended in CR: then an LF that follows belongs to that end. */
  #isAfterCarriageReturn = false;
  #type = "";
  #data: string[] = [];
  #size = 0;
  #lastEventId = "";

  /** The events that `bytes` complete. Throws RangeError for one that is far too long. */
  push(bytes: Uint8Array): ServerSentEvent[] {
    const events: ServerSentEvent[] = [];
    const text = this.#decoder.decode(bytes, { stream: true });
    let start = 0;
    if (this.#isAfterCarriageReturn && text !== "") {
      this.#isAfterCarriageReturn = false;
      if (text[0] === "\n") start = 1;
    }
    const ends = /\r\n|\r|\n/g;
    ends.lastIndex = start;
    for (let end = ends.exec(text); end; end = ends.exec(text)) {
      this.#grow(end.index - start);
      const event = this.#take(this.#line + text.slice(start, end.index));
      if (event) events.push(event);
      this.#line = "";
      start = ends.lastIndex;
      this.#isAfterCarriageReturn = end[0] === "\r" && start === text.length;
    }
    this.#grow(text.length - start);
    this.#line += text.slice(start);
    return events;
  }

  #grow(characters: number): void {
    this.#size += characters;
    if (this.#size > MAX_EVENT_CHARACTERS) {
      throw new RangeError(`An event is longer than ${MAX_EVENT_CHARACTERS} characters.`);
    }
  }

  #take(line: string): ServerSentEvent | null {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) {
      // A comment: it keeps the connection open, and is no part of an event.
      this.#size -= line.length;
      return null;
    }
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    switch (field) {
      case "event":
        this.#type = value;
        break;
      case "data":
        this.#data.push(value);
        break;
      case "id":
        if (!value.includes("\0")) this.#lastEventId = value;
        break;
      case "retry":
        if (/^[0-9]+$/.test(value)) this.retryMs = Number(value);
        break;
      default: // As the standard says: ignored.
    }
    return null;
  }

  #dispatch(): ServerSentEvent | null {
    const data = this.#data.join("\n");
    const event =
      this.#data.length > 0
        ? { type: this.#type || "message", data, lastEventId: this.#lastEventId }
        : null;
    this.#type = "";
    this.#data = [];
    this.#size = 0;
    return event;
  }
}
