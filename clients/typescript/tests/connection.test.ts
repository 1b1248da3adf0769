import assert from "node:assert/strict";
import { test } from "node:test";
import WebSocket from "ws";
import {
  type Channel,
  Connection,
  DeadlineExceededError,
  InvalidInputError,
  type NativePort,
  NotFoundError,
  Sensorium,
  SensoriumError,
  ServerAwayError,
  nativePort,
  openWebSocket,
} from "../src/index.js";
import { type Paths, inFlight, key, url } from "./server.js";

async function connected(run: (connection: Connection<Paths>) => Promise<void>): Promise<void> {
  const connection = new Connection<Paths>(await openWebSocket(url, { key, WebSocket }));
  try {
    await run(connection);
  } finally {
    connection.close();
  }
}

/** A channel whose other end is the test. */
class Ends implements Channel {
  readonly sent: { id: number; [part: string]: unknown }[] = [];
  closed = false;
  onMessage: (message: object) => void = () => undefined;
  onClose: (why: string) => void = () => undefined;

  async send(message: object): Promise<void> {
    this.sent.push(message as { id: number });
  }

  close(): void {
    this.closed = true;
  }
}

async function* several<T>(...items: T[]): AsyncGenerator<T> {
  yield* items;
}

test("a hundred calls at once on one WebSocket get their own answers", async () => {
  await connected(async (connection) => {
    const tokens = Array.from({ length: 100 }, (_, at) => `token ${at}`);
    const asked = tokens.map((token, at) =>
      connection.call(at % 2 === 0 ? "testing.inline" : "testing.process", { token }),
    );
    const answers = await Promise.all(asked);
    assert.deepEqual(answers.map(({ token }) => token), tokens);
  });
});

test("streams and errors come beside each other", async () => {
  await connected(async (connection) => {
    const counted = async (count: number): Promise<number[]> => {
      const seen: number[] = [];
      for await (const { index } of connection.stream("testing.count", { count })) seen.push(index);
      return seen;
    };
    const wrong = connection.call("logs.cluster", { lines: 1 as unknown as string[] });
    const unknown = (connection.call as unknown as (name: string) => Promise<object>).call(
      connection,
      "logs.nothing",
    );
    await Promise.all([
      counted(3).then((seen) => assert.deepEqual(seen, [0, 1, 2])),
      counted(50).then((seen) => assert.equal(seen.length, 50)),
      assert.rejects(wrong, InvalidInputError),
      assert.rejects(unknown, NotFoundError),
    ]);
  });
});

test("a listening operation hears items and answers as they come", async () => {
  await connected(async (connection) => {
    let release = (): void => undefined;
    const answered = new Promise<void>((resolve) => {
      release = resolve;
    });
    async function* asking(): AsyncGenerator<{ token: string }> {
      yield { token: "first" };
      await answered; // so the first answer comes before the second item is sent
      yield { token: "second" };
    }
    const seen: string[] = [];
    for await (const { token } of connection.stream("testing.mirror", {}, { items: asking() })) {
      seen.push(token);
      release();
    }
    assert.deepEqual(seen, ["first", "second"]);
  });
});

test("logs and metrics are watched", async () => {
  await connected(async (connection) => {
    const lines = Array.from({ length: 20 }, (_, at) => `request ${at} took ${at} ms`);
    const kinds: string[] = [];
    const watched = connection.stream("logs.watch", { learn_lines: 0 }, { items: several({ lines }) });
    for await (const { kind } of watched) kinds.push(kind);
    assert.ok(kinds.includes("pattern") && kinds.includes("snapshot"));
    let points = 0;
    const series = [{ name: "cpu", values: [1, 2, null, 4] }];
    for await (const event of connection.stream("metrics.watch", {}, { items: several({ series }) })) {
      points += event.points;
    }
    assert.equal(points, 4);
  });
});

test("what its source of items throws ends the call", async () => {
  await connected(async (connection) => {
    async function* failing(): AsyncGenerator<{ token: string }> {
      yield { token: "first" };
      throw new Error("the source broke");
    }
    await assert.rejects(async () => {
      const mirrored = connection.stream("testing.mirror", {}, { items: failing() });
      for await (const item of mirrored) assert.equal(item.token, "first");
    }, /the source broke/);
    await inFlight("testing.mirror", 0);
  });
});

test("leaving the loop closes the source of items", async () => {
  await connected(async (connection) => {
    let close = (): void => undefined;
    const closed = new Promise<void>((resolve) => {
      close = resolve;
    });
    async function* endless(): AsyncGenerator<{ token: string }> {
      try {
        for (;;) {
          yield { token: "a" };
          await new Promise(setImmediate);
        }
      } finally {
        close();
      }
    }
    for await (const { index } of connection.stream("testing.mirror", {}, { items: endless() })) {
      if (index === 2) break;
    }
    await closed;
    await inFlight("testing.mirror", 0);
  });
});

test("a request that cannot be written fails", { timeout: 60_000 }, async () => {
  await connected(async (connection) => {
    const token = 1n as unknown as string;
    await assert.rejects(connection.call("testing.inline", { token }), TypeError);
  });
});

test("an abort, and leaving the loop, end the computing", async () => {
  await connected(async (connection) => {
    const stop = new AbortController();
    const request = { token: "a", seconds: 60 };
    const answer = connection.call("testing.process", request, { signal: stop.signal });
    await inFlight("testing.process", 1);
    stop.abort();
    await assert.rejects(answer, { name: "AbortError" });
    await inFlight("testing.process", 0);
    for await (const { index } of connection.stream("testing.count", { count: 10_000, seconds: 0.01 })) {
      if (index === 2) break;
    }
    await inFlight("testing.count", 0);
  });
});

test("a deadline is the server's to keep", async () => {
  await connected(async (connection) => {
    const call = connection.call("testing.process", { token: "a", seconds: 60 }, { deadlineS: 0.2 });
    await assert.rejects(call, DeadlineExceededError);
  });
});

test("closing ends what is pending, and what is begun afterwards", async () => {
  await connected(async (connection) => {
    const pending = connection.call("testing.process", { token: "a", seconds: 60 });
    await inFlight("testing.process", 1);
    connection.close();
    await assert.rejects(pending, ServerAwayError);
    await assert.rejects(connection.call("system.health"), ServerAwayError);
    await inFlight("testing.process", 0);
  });
});

test("a WebSocket that is refused says so", async () => {
  await assert.rejects(openWebSocket(url, { key: "wrong", WebSocket }), ServerAwayError);
});

test("a channel that closes ends what is pending, after what had come", async () => {
  const ends = new Ends();
  const connection = new Connection<Paths>(ends);
  const call = connection.call("system.health");
  const seen: number[] = [];
  const streamed = assert.rejects(async () => {
    for await (const { index } of connection.stream("testing.count")) seen.push(index);
  }, /the cable was cut/);
  ends.onMessage({ id: 2, chunk: { index: 0, token: "" } });
  ends.onClose("the cable was cut");
  await assert.rejects(call, new ServerAwayError("the cable was cut"));
  await streamed;
  assert.deepEqual(seen, [0]);
  await assert.rejects(connection.call("system.health"), new ServerAwayError("the cable was cut"));
  assert.equal(ends.sent.length, 2);
});

test("what is said of a call is sent with it", async () => {
  const ends = new Ends();
  const connection = new Connection<Paths>(ends);
  const options = { deadlineS: 2, priority: "batch", idempotencyKey: "k" } as const;
  const call = connection.call("system.health", {}, options);
  const said = { deadline_s: 2, priority: "batch", idempotency_key: "k" };
  assert.deepEqual(ends.sent, [{ id: 1, op: "system.health", data: {}, ...said }]);
  ends.onMessage({ id: 1, data: { status: "ok" } });
  assert.deepEqual(await call, { status: "ok" });
  const tracks = connection.stream("testing.mirror", {}, { tracks: true })[Symbol.asyncIterator]();
  const ended = tracks.next();
  assert.deepEqual(ends.sent[1], { id: 2, op: "testing.mirror", data: {}, tracks: true });
  ends.onMessage({ id: 2, end: {} });
  assert.deepEqual(await ended, { value: undefined, done: true });
  assert.equal(ends.sent.length, 2); // nothing is cancelled that has ended
});

test("parts are put together, and an error of no call ends them all", async () => {
  const ends = new Ends();
  const connection = new Connection<Paths>(ends);
  const [answered, lost] = [connection.call("system.echo"), connection.call("system.health")];
  const seen: object[] = [];
  const streamed = (async () => {
    for await (const item of connection.stream("testing.count")) seen.push(item);
  })();
  const inParts = (message: { id: number; [part: string]: unknown }): void => {
    const text = JSON.stringify(message);
    const cuts = [text.slice(0, 9), text.slice(9, 14), text.slice(14)];
    cuts.forEach((part, at) => ends.onMessage({ id: message.id, part, more: at < 2 }));
  };
  inParts({ id: 3, chunk: { index: 0 } });
  inParts({ id: 1, data: { text: 'a "quoted" 👋' } });
  inParts({ id: 3, end: {} });
  assert.deepEqual(await answered, { text: 'a "quoted" 👋' });
  await streamed;
  assert.deepEqual(seen, [{ index: 0 }]);
  ends.onMessage({ id: null, part: "no JSON", more: false });
  await assert.rejects(lost, SensoriumError);
  assert.ok(ends.closed);
});

test("native messaging carries objects", async () => {
  let hear = (_: object): void => undefined;
  let leave = (): void => undefined;
  const posted: { id: number }[] = [];
  const port: NativePort = {
    postMessage: (message) => void posted.push(message as { id: number }),
    disconnect: () => undefined,
    onMessage: { addListener: (listener) => void (hear = listener) },
    onDisconnect: { addListener: (listener) => void (leave = listener) },
  };
  const connection = new Connection<Paths>(nativePort(port));
  const first = connection.call("system.health");
  hear({ id: posted[0]?.id, data: { status: "ok" } });
  assert.deepEqual(await first, { status: "ok" });
  const second = connection.call("system.health");
  leave();
  await assert.rejects(second, ServerAwayError);
});

test("the answers are those of HTTP", async () => {
  const request = { lines: ["timeout after 30 ms", "timeout after 31 ms"] };
  await connected(async (connection) => {
    const { elapsed_ms: _, ...there } = (await connection.call("logs.cluster", request)) as {
      elapsed_ms?: number;
    };
    const { elapsed_ms: __, ...here } = (await new Sensorium({ url, key }).logs.cluster(request)) as {
      elapsed_ms?: number;
    };
    assert.deepEqual(there, here);
  });
});
