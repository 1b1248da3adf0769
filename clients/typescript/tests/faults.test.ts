/** What goes wrong between here and a server, from one that does as it is told. */

import assert from "node:assert/strict";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import {
  InvalidInputError,
  NotSupportedError,
  OverloadedError,
  RateLimitedError,
  Sensorium,
  type SensoriumError,
  ServerAwayError,
  type Settings,
  UnavailableError,
  isFallback,
} from "../src/index.js";
import type { Paths } from "./server.js";

type Answer = (response: ServerResponse) => void;

/** Run with a client of a server that gives these answers, the last one for ever. */
async function scripted(
  answers: Answer[],
  run: (client: Sensorium<Paths>, asked: IncomingMessage[], url: string) => Promise<void>,
  settings: Partial<Settings<Paths>> = {},
): Promise<void> {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    request.resume().on("end", () => {
      answers[Math.min(asked.length, answers.length) - 1]?.(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await run(new Sensorium<Paths>({ url, ...settings }), asked, url);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** The settings of a client whose server is away. */
async function nobody(): Promise<{ url: string; retries: number }> {
  let url = "";
  await scripted([ok], async (_, __, there) => void (url = there));
  return { url, retries: 0 };
}

const JSON_TYPE = { "content-type": "application/json" };
const ok: Answer = (response) => response.writeHead(200, JSON_TYPE).end('{"token": "a"}');
const cut: Answer = (response) => response.destroy();
const refused =
  (status: number, code: string, after?: number): Answer =>
  (response) => {
    const headers = after === undefined ? {} : { "retry-after": String(after) };
    response.writeHead(status, headers).end(JSON.stringify({ code, detail: "no", details: {} }));
  };
const lines =
  (text: string, end = true): Answer =>
  (response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.write(text, () => (end ? response.end() : response.destroy()));
  };

test("a call that was turned away is made again, with the same idempotency key", async () => {
  const answers = [refused(503, "overloaded", 0), refused(429, "rate_limited", 0), cut, ok];
  await scripted(answers, async (client, asked) => {
    assert.deepEqual(await client.testing.inline({ token: "a" }), { token: "a" });
    const keys = new Set(asked.map(({ headers }) => headers["idempotency-key"]));
    assert.deepEqual([asked.length, keys.size], [4, 1]);
  });
});

test("after the last try the error is the server's own", async () => {
  await scripted(
    [refused(503, "overloaded", 0)],
    async (client, asked) => {
      await assert.rejects(client.testing.inline({ token: "a" }), (error) => {
        assert.ok(error instanceof OverloadedError);
        assert.equal(error.retryAfterS, 0);
        return true;
      });
      assert.equal(asked.length, 2);
    },
    { retries: 1 },
  );
});

test("what may be wrong again, or asks for a long wait, is not made again", async () => {
  const cases: [Answer, new (message: string) => SensoriumError][] = [
    [refused(422, "invalid_input", 0), InvalidInputError],
    [refused(503, "unavailable"), UnavailableError],
    [refused(429, "rate_limited", 3600), RateLimitedError],
    [(response) => response.writeHead(404).end("<html>"), NotSupportedError],
    [(response) => response.writeHead(502).end("<html>"), ServerAwayError],
    [(response) => response.writeHead(302, { location: "/elsewhere" }).end(), NotSupportedError],
  ];
  for (const [answer, kind] of cases) {
    await scripted([answer], async (client, asked) => {
      await assert.rejects(client.testing.inline({ token: "a" }), kind);
      assert.equal(asked.length, 1);
    });
  }
});

test("an abort ends the wait between two tries", { timeout: 60_000 }, async () => {
  await scripted([refused(503, "overloaded", 9)], async (client, asked) => {
    const stop = new AbortController();
    const answer = client.testing.inline({ token: "a" }, { signal: stop.signal });
    while (asked.length === 0) await new Promise(setImmediate);
    stop.abort(new Error("enough"));
    await assert.rejects(answer, /enough/);
    assert.equal(asked.length, 1);
  });
});

test("nothing is asked with a signal that is aborted already", async () => {
  await scripted([ok], async (client, asked) => {
    const signal = AbortSignal.abort(new Error("too late"));
    await assert.rejects(client.testing.inline({ token: "a" }, { signal }), /too late/);
    assert.equal(asked.length, 0);
  });
});

test("lines are put together however they are cut, and empty ones are no items", async () => {
  const text = '{"chunk": {"token": "grüße 👋"}}\n\n{"chunk": {"token": "b"}}\n{"end": {}}\n';
  const byByte: Answer = (response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    const bytes = [...Buffer.from(text)];
    const next = (): void => {
      const byte = bytes.shift();
      if (byte === undefined) response.end();
      else response.write(Buffer.from([byte]), () => setImmediate(next));
    };
    next();
  };
  await scripted([byByte], async (client) => {
    const seen: string[] = [];
    for await (const { token } of client.testing.count()) seen.push(token);
    assert.deepEqual(seen, ["grüße 👋", "b"]);
  });
});

test("a stream without its end is lost, and one that is no JSON is not understood", async () => {
  const begun = '{"chunk": {"index": 0}}\n';
  const cases: [Answer, new (message: string) => SensoriumError][] = [
    [lines(begun), ServerAwayError],
    [lines(begun, false), ServerAwayError],
    [lines(`${begun}{"chunk"\n`), NotSupportedError],
  ];
  for (const [answer, kind] of cases) {
    await scripted([answer], async (client) => {
      const seen: number[] = [];
      await assert.rejects(async () => {
        for await (const { index } of client.testing.count()) seen.push(index);
      }, kind);
      assert.deepEqual(seen, [0]);
    });
  }
});

test("a stream that stands still for too long is lost", { timeout: 60_000 }, async () => {
  const still: Answer = (response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.write('{"chunk": {"index": 0}}\n');
  };
  await scripted([still], async (client) => {
    await assert.rejects(async () => {
      for await (const item of client.testing.count({}, { timeoutMs: 300 })) assert.ok(item);
    }, /nothing came for 0.3 s/);
  });
});

test("a fallback answers for a server that is away, and its answer can be told apart", async () => {
  const kept = { token: "kept" };
  const fallback = { "testing.inline": () => kept };
  const asking = async (client: Sensorium<Paths>): Promise<void> => {
    const answer = await client.testing.inline({ token: "a" });
    assert.deepEqual(answer, kept);
    assert.ok(isFallback(answer));
    assert.ok(!isFallback(kept));
  };
  for (const answer of [cut, refused(503, "unavailable")]) {
    await scripted([answer], asking, { fallback, retries: 0 });
  }
  const away = new Sensorium<Paths>(await nobody());
  await assert.rejects(away.testing.inline({ token: "a" }), ServerAwayError);
  const why = { fallback: (_: object, { code }: SensoriumError) => ({ token: code }) };
  assert.equal((await away.testing.inline({ token: "a" }, why)).token, "unavailable");
});

test("a fallback can stream", async () => {
  async function* local(): AsyncGenerator<{ index: number; token: string }> {
    yield { index: 7, token: "" };
  }
  const away = new Sensorium<Paths>({
    ...(await nobody()),
    fallback: { "testing.count": local },
  });
  for await (const item of away.testing.count()) {
    assert.equal(item.index, 7);
    assert.ok(isFallback(item));
  }
});

test("a fallback is not asked where the server is there", async () => {
  const fallback = { "testing.inline": () => assert.fail("it was asked") };
  const settings = { fallback, retries: 0 };
  await scripted([ok], async (client) => {
    assert.ok(!isFallback(await client.testing.inline({ token: "a" })));
  }, settings);
  for (const [status, code] of [[422, "invalid_input"], [401, "unauthenticated"], [503, "overloaded"]] as const) {
    await scripted([refused(status, code)], async (client) => {
      await assert.rejects(client.testing.inline({ token: "a" }), { code });
    }, settings);
  }
});
