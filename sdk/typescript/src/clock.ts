/** @internal Time and chance, so that tests need not wait for either. */
export interface Clock {
  /** Milliseconds, from any origin, never backwards. */
  now(): number;
  /** 0 to 1, 1 excluded. */
  random(): number;
  /** Calls once, unless what it returns is called before. */
  after(ms: number, call: () => void): () => void;
}

/** @internal */
export const systemClock: Clock = {
  now: () => performance.now(),
  random: () => Math.random(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

/** @internal Resolves after `ms`; rejects with the signal's reason when that aborts. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const forget = clock.after(ms, () => {
      signal.removeEventListener("abort", stop);
      resolve();
    });
    const stop = () => {
      forget();
      reject(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** @internal A controller that aborts with `signal`. Call `unlink` when it is no longer needed. */
export function linked(signal: AbortSignal | undefined): {
  controller: AbortController;
  unlink: () => void;
} {
  const controller = new AbortController();
  if (!signal) return { controller, unlink: () => {} };
  if (signal.aborted) controller.abort(signal.reason);
  const follow = () => controller.abort(signal.reason);
  signal.addEventListener("abort", follow, { once: true });
  return { controller, unlink: () => signal.removeEventListener("abort", follow) };
}
