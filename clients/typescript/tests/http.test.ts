import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DeadlineExceededError,
  InvalidInputError,
  NotFoundError,
  Sensorium,
  UnauthenticatedError,
} from "../src/index.js";
import { type Paths, inFlight, key, url } from "./server.js";

const client = new Sensorium<Paths>({ url, key });
const lines = ["login failed for ann", "login failed for bob", "disk is full"];

test("an operation answers by its noun and verb, and by its name", async () => {
  const { clusters } = await client.logs.cluster({ lines });
  assert.equal(clusters[0]?.count, 2);
  assert.deepEqual((await client.call("logs.cluster", { lines })).clusters, clusters);
  assert.ok((await client.system.operations()).operations.length > 5);
});

test("wrong input is a typed error with a request id", async () => {
  const wrong = { lines: 1 } as unknown as { lines: string[] };
  await assert.rejects(client.logs.cluster(wrong), (error) => {
    assert.ok(error instanceof InvalidInputError);
    assert.equal(error.code, "invalid_input");
    assert.match(error.requestId ?? "", /^\w+$/);
    return true;
  });
});

test("a wrong key and an unknown name have errors of their own", async () => {
  const stranger = new Sensorium({ url, key: "wrong" });
  await assert.rejects(stranger.logs.cluster({ lines }), UnauthenticatedError);
  const untyped = client.call as unknown as (name: string) => Promise<object>;
  await assert.rejects(untyped("logs.nothing"), NotFoundError);
});

test("items come in order, and an error after them is thrown", async () => {
  const seen: number[] = [];
  const items = client.testing.count({ count: 5, fail_after: 3 });
  await assert.rejects(async () => {
    for await (const { index } of items) seen.push(index);
  }, InvalidInputError);
  assert.deepEqual(seen, [0, 1, 2]);
});

test("an abort ends the call with the signal's reason, and the computing", async () => {
  const stop = new AbortController();
  const answer = client.testing.process({ token: "a", seconds: 60 }, { signal: stop.signal });
  await inFlight("testing.process", 1);
  stop.abort();
  await assert.rejects(answer, { name: "AbortError" });
  await inFlight("testing.process", 0);
});

test("an abort ends a stream between two items", async () => {
  const stop = new AbortController();
  const given = { count: 10_000, seconds: 0.01 };
  await assert.rejects(async () => {
    for await (const { index } of client.testing.count(given, { signal: stop.signal })) {
      if (index === 2) stop.abort();
    }
  }, { name: "AbortError" });
  await inFlight("testing.count", 0);
});

test("leaving the loop ends the computing", async () => {
  for await (const { index } of client.testing.count({ count: 10_000, seconds: 0.01 })) {
    if (index === 2) break;
  }
  await inFlight("testing.count", 0);
});

test("a deadline is the server's to keep, and a timeout is ours", async () => {
  const request = { token: "a", seconds: 60 };
  await assert.rejects(client.testing.process(request, { deadlineS: 0.2 }), (error) => {
    assert.ok(error instanceof DeadlineExceededError);
    assert.ok(error.requestId); // the server's word
    return true;
  });
  await assert.rejects(
    client.testing.process(request, { timeoutMs: 200 }),
    new DeadlineExceededError("no answer came within 0.2 s"),
  );
  await inFlight("testing.process", 0);
});

test("what changes something is made once per idempotency key", async () => {
  const change = (idempotencyKey?: string): Promise<{ index: number }> =>
    client.testing.change({ token: "a" }, idempotencyKey === undefined ? {} : { idempotencyKey });
  const key = `of this run, ${Date.now()}`;
  const first = await change(key);
  assert.deepEqual(await change(key), first);
  assert.equal((await change()).index, first.index + 1);
});

test("a hundred calls at once get their own answers", async () => {
  const tokens = Array.from({ length: 100 }, (_, at) => `token ${at}`);
  const answers = await Promise.all(tokens.map((token) => client.testing.inline({ token })));
  assert.deepEqual(answers.map(({ token }) => token), tokens);
});

test("an address that is none is refused at once", () => {
  assert.throws(() => new Sensorium({ url: "127.0.0.1:8484" }), InvalidInputError);
});
