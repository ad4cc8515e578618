/** @internal What has arrived and has not been taken yet. */
export class Inbox<T> {
  readonly #items: T[] = [];
  #end: { error: unknown } | null = null;
  #wake: (() => void) | null = null;

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    if (this.#end) return;
    this.#items.push(item);
    this.#wake?.();
  }

  /** No more will come; after what is there, takers get `error`. The first end counts. */
  end(error: unknown): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** The next item. Throws what the inbox was ended with, once it is empty. */
  async take(): Promise<T> {
    for (;;) {
      if (this.#items.length > 0) return this.#items.shift() as T;
      if (this.#end) throw this.#end.error;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
  }
}
