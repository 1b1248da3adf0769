/** What came for one call and waits to be taken. */
export class Inbox implements AsyncIterable<object> {
  /** Resolved when no more will come, or nobody waits for it. */
  readonly ended: Promise<void>;
  readonly #items: object[] = [];
  #end: { reason: unknown } | undefined;
  #wake: () => void = () => undefined;
  #tellEnd: () => void = () => undefined;

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#tellEnd = resolve;
    });
  }

  put(item: object): void {
    this.#items.push(item);
    this.#wake();
  }

  /** No more will come; a reason is thrown after what came before. */
  end(reason?: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { reason };
    this.#tellEnd();
    this.#wake();
  }

  /** Nobody wants what came: the reason is thrown at once. */
  abort(reason: unknown): void {
    this.#items.length = 0;
    this.end(reason);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<object, void> {
    for (;;) {
      for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) {
        yield item;
      }
      if (this.#end?.reason !== undefined) throw this.#end.reason;
      if (this.#end !== undefined) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
