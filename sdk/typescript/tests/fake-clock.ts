import type { Clock } from "../src/clock.js";

/** Time that passes when it is told to; chance that always says the same. */
export class FakeClock implements Clock {
  /** Every delay that was asked for, in order. */
  readonly delays: number[] = [];
  #now = 0;
  #timers: { at: number; call: () => void }[] = [];

  constructor(readonly chance: number = 0.5) {}

  now(): number {
    return this.#now;
  }

  random(): number {
    return this.chance;
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + ms, call };
    this.delays.push(ms);
    this.#timers.push(timer);
    return () => (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  advance(ms: number): void {
    this.#now += ms;
    const due = this.#timers.filter((timer) => timer.at <= this.#now);
    this.#timers = this.#timers.filter((timer) => timer.at > this.#now);
    for (const timer of due.sort((a, b) => a.at - b.at)) timer.call();
  }
}
