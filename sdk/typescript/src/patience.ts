import type { Clock } from "./clock.js";
import { sleep } from "./clock.js";
import { AssistantError } from "./errors.js";
import type { Interruption } from "./errors.js";

/** How often and how long to try again. */
export interface RetryOptions {
  /** Tries in a row that bring nothing new; 10. */
  attempts?: number;
  /**
   * The first wait is up to so long, every further one up to twice as long; what the service asks
   * for in its streams (1,000), else 500.
   */
  baseDelayMs?: number;
  /** No wait of our own is longer; 10,000. */
  maxDelayMs?: number;
  /** How long to go on without anything new, waits included; 120,000. */
  maxElapsedMs?: number;
}

const DEFAULT_BASE_DELAY_MS = 500;

/**
 * @internal Waits between tries: exponentially longer, anywhere between nothing and the most (so
 * that the clients of one replica do not come back all at once), never shorter than the service
 * said.
 *
 * Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ (full jitter)
 */
export class Patience {
  /** Tries since there was anything new. */
  attempts = 0;
  /** What the service asks for. */
  suggestedDelayMs: number | null = null;
  #since: number | null = null;
  readonly #retry: RetryOptions;
  readonly #clock: Clock;

  constructor(retry: RetryOptions, clock: Clock) {
    this.#retry = retry;
    this.#clock = clock;
  }

  /** Something new has come: whatever fails from now on is another failure. */
  renew(): void {
    this.attempts = 0;
    this.#since = null;
  }

  /** How long to wait after `interruption`; null when it is no use to try again. */
  next(interruption: Interruption): number | null {
    const { attempts = 10, maxDelayMs = 10_000, maxElapsedMs = 120_000 } = this.#retry;
    const base = this.#retry.baseDelayMs ?? this.suggestedDelayMs ?? DEFAULT_BASE_DELAY_MS;
    const now = this.#clock.now();
    this.#since ??= now;
    if (this.attempts >= attempts) return null;
    const most = Math.min(maxDelayMs, base * 2 ** this.attempts);
    // Who has been sent away after some news may come back at once, but not over and over.
    const own = interruption.isPlanned && this.attempts === 0 ? 0 : this.#clock.random() * most;
    const delay = own + (interruption.retryAfterMs ?? 0);
    if (now - this.#since + delay > maxElapsedMs) return null;
    this.attempts += 1;
    return delay;
  }

  /**
   * Wait until it is worth trying again.
   *
   * Throws what the service said, else CONNECTION_LOST, when it no longer is; `signal`'s reason
   * when that aborts.
   */
  async wait(
    interruption: Interruption,
    signal: AbortSignal,
    lastEventId: string | null,
    told: (delayMs: number) => void = () => {},
  ): Promise<void> {
    const delay = this.next(interruption);
    if (delay === null) {
      const { error } = interruption;
      if (error && !interruption.isPlanned) throw error;
      throw new AssistantError(
        "CONNECTION_LOST",
        `The service could not be reached in ${this.attempts} attempts: ${interruption.message}`,
        { isRetryable: true, lastEventId, cause: interruption },
      );
    }
    told(delay);
    await sleep(this.#clock, delay, signal);
  }
}
