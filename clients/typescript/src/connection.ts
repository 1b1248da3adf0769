/** The envelope: many calls at once over one channel that carries messages both ways. */

import { type Channel, parsed } from "./channel.js";
import { type ErrorBody, SensoriumError, ServerAwayError, fromBody } from "./errors.js";
import { Inbox } from "./inbox.js";
import type { AnswerOf, Arguments, ItemOf, OperationName, RequestOf } from "./operations.js";
import { type CallOptions, Limit, late, limitMs } from "./options.js";
import type { paths } from "./schema.js";

/** A server ends a listening call that hears nothing for its deadline, a minute by default. */
const SIGN_OF_LIFE_MS = 15_000;

/** What can be said of a stream; it may be still for as long as the server lets it. */
export type StreamOptions = Omit<CallOptions, "timeoutMs">;

/** Where the items of a listening operation come from. */
export type Fed<Item> = { items: AsyncIterable<Item> } | { tracks: true };

type RunOptions = StreamOptions | (StreamOptions & Fed<object>);

interface Message {
  id: number | null;
  data?: object;
  chunk?: object;
  end?: object;
  error?: ErrorBody;
  /** A piece of the text of a message that is too long for the channel; `more` are to follow. */
  part?: string;
  more?: boolean;
}

type Unary<P> = OperationName<P, "unary">;
type Streamed<P> = OperationName<P, "stream">;
type Listening<P> = OperationName<P, "duplex">;

export class Connection<P = paths> {
  readonly #channel: Channel;
  readonly #calls = new Map<number, Inbox>();
  #next = 1;
  #parts: string[] = [];
  #gone: SensoriumError | undefined;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.onMessage = (message) => this.#hear(message as Message);
    channel.onClose = (why) => this.#lose(new ServerAwayError(why));
  }

  /** The answer of an operation that answers once. */
  async call<N extends Unary<P>>(
    name: N,
    ...given: Arguments<RequestOf<N, P>, CallOptions>
  ): Promise<AnswerOf<N, P>> {
    const [request = {}, options = {}] = given as [object?, CallOptions?];
    const limit = new Limit(options.signal);
    const waitMs = limitMs(options);
    limit.within(waitMs, late(waitMs));
    try {
      for await (const answer of this.#run(name, request, { ...options, signal: limit.signal })) {
        return answer as AnswerOf<N, P>;
      }
      throw new SensoriumError(`${name} ended without an answer`);
    } finally {
      limit.end();
    }
  }

  /**
   * The items of an operation that streams. It begins with the first that is asked for, and
   * leaving them stops it on the server.
   */
  stream<N extends Streamed<P>>(
    name: N,
    ...given: Arguments<RequestOf<N, P>, StreamOptions>
  ): AsyncIterable<AnswerOf<N, P>>;
  /** The same of one that listens, to `items` or to the media tracks of a WebRTC connection. */
  stream<N extends Listening<P>>(
    name: N,
    request: RequestOf<N, P>,
    options: StreamOptions & Fed<ItemOf<N, P>>,
  ): AsyncIterable<AnswerOf<N, P>>;
  stream(name: string, ...given: unknown[]): unknown {
    const [request = {}, options = {}] = given as [object?, RunOptions?];
    return this.#run(name, request, options);
  }

  /** Close the channel; what is pending fails. */
  close(): void {
    this.#end(new ServerAwayError("this connection was closed"));
  }

  async *#run(op: string, data: object, options: RunOptions): AsyncGenerator<object, void> {
    if (this.#gone !== undefined) throw this.#gone;
    const { signal, deadlineS, priority, idempotencyKey } = options;
    signal?.throwIfAborted();
    const id = this.#next++;
    const inbox = new Inbox();
    const abort = (): void => inbox.abort(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    this.#calls.set(id, inbox);
    const begin = {
      id,
      op,
      data,
      ...(deadlineS === undefined ? {} : { deadline_s: deadlineS }),
      ...(priority === undefined ? {} : { priority }),
      ...(idempotencyKey === undefined ? {} : { idempotency_key: idempotencyKey }),
      ...("tracks" in options ? { tracks: true } : {}),
    };
    this.#channel.send(begin).catch((failure: unknown) => inbox.end(failure));
    try {
      if ("items" in options) void this.#feed(id, inbox, options.items);
      yield* inbox;
    } finally {
      signal?.removeEventListener("abort", abort);
      inbox.end();
      if (this.#calls.delete(id)) this.#send({ id, cancel: true });
    }
  }

  /** Send the items of a call for as long as it goes on. */
  async #feed(id: number, inbox: Inbox, items: AsyncIterable<object>): Promise<void> {
    const alive = setInterval(() => this.#send({ id, chunk: null }), SIGN_OF_LIFE_MS);
    const iterator = items[Symbol.asyncIterator]();
    inbox.ended
      .then(() => iterator.return?.())
      .catch(() => undefined); // the call is over, whatever its source still says
    try {
      for (let next = await iterator.next(); this.#calls.has(id); next = await iterator.next()) {
        if (next.done === true) return this.#send({ id, end: {} });
        await this.#channel.send({ id, chunk: next.value });
      }
    } catch (failure) {
      inbox.end(failure);
    } finally {
      clearInterval(alive);
    }
  }

  /** What cannot be sent is lost with the channel, which says so itself. */
  #send(message: object): void {
    this.#channel.send(message).catch(() => undefined);
  }

  #hear(message: Message): void {
    if (message.part !== undefined) {
      this.#parts.push(message.part);
      if (message.more === true) return;
      message = parsed(this.#parts.join("")) as Message;
      this.#parts = [];
    }
    const { id, data, chunk, error } = message;
    if (id === null) return this.#end(fromBody(error as ErrorBody));
    const inbox = this.#calls.get(id);
    if (inbox === undefined) return; // it was left while this was on its way
    if (chunk !== undefined) return inbox.put(chunk);
    this.#calls.delete(id);
    if (data !== undefined) inbox.put(data);
    inbox.end(error === undefined ? undefined : fromBody(error));
  }

  /** Of an error without an id none knows whose it is, so none of the calls can go on. */
  #end(why: SensoriumError): void {
    this.#lose(why);
    this.#channel.close();
  }

  #lose(why: SensoriumError): void {
    this.#gone ??= why;
    const pending = [...this.#calls.values()];
    this.#calls.clear();
    for (const inbox of pending) inbox.end(why);
  }
}
