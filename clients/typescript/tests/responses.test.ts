import assert from "node:assert/strict";
import { test } from "node:test";
import {
  InvalidInputError,
  NotFoundError,
  type ResponseOptions,
  Sensorium,
  ServerAwayError,
  generateResponse,
} from "../src/index.js";
import { type Paths, key, url } from "./server.js";

const sensorium = new Sensorium<Paths>({ url, key });
const away = new Sensorium<Paths>({ url: "http://127.0.0.1:1", retries: 0 });
const asked = [{ role: "user", content: "What is the capital of France?" }];
const greedy = { temperature: 0 } satisfies ResponseOptions;
const paris = "The capital of France is Paris.";

test("a tier answers with the model that stands for it", async () => {
  const answer = await generateResponse(sensorium, "fast", asked, greedy);
  assert.equal(answer.text, paris);
  assert.equal(answer.model, "tinylm");
  assert.equal(answer.finish, "stop");
  assert.equal(answer.usage?.generated_tokens, 11);
  assert.ok((answer.timing?.total_s ?? 0) > 0);
  assert.equal(answer.isFallback, false);
});

test("the text is told piece by piece, or iterated", async () => {
  const told: string[] = [];
  await generateResponse(sensorium, "fast", asked, { ...greedy, onText: (text) => told.push(text) });
  const pieces: string[] = [];
  const stream = generateResponse(sensorium, "fast", asked, { ...greedy, stream: true });
  for (;;) {
    const { value, done } = await stream.next();
    if (done === true) {
      assert.equal(value.text, paris);
      break;
    }
    pieces.push(value);
  }
  assert.ok(pieces.length > 0); // on a busy machine pieces may come joined
  assert.equal(pieces.join(""), paris);
  assert.equal(told.join(""), paris);
});

test("its length, the system's word and other settings are the caller's", async () => {
  const short = await generateResponse(sensorium, "fast", asked, { ...greedy, maxTokens: 3 });
  assert.equal(short.finish, "length");
  assert.equal(short.usage?.generated_tokens, 3);
  const stopped = await generateResponse(sensorium, "fast", asked, {
    ...greedy,
    settings: { stop: ["France"] },
  });
  assert.equal(stopped.text.trim(), "The capital of");
  const plain = await generateResponse(sensorium, "fast", asked, greedy);
  const told = await generateResponse(sensorium, "fast", asked, { ...greedy, system: "Be kind." });
  assert.ok((told.usage?.prompt_tokens ?? 0) > (plain.usage?.prompt_tokens ?? 0));
  await assert.rejects(
    generateResponse(sensorium, "fast", asked, { temperature: 9 }),
    InvalidInputError,
  );
});

test("a tier that nobody declared is an error that names those there are", async () => {
  await assert.rejects(generateResponse(sensorium, "expert", asked), (error: unknown) => {
    assert.ok(error instanceof NotFoundError);
    assert.match(error.message, /no tier 'expert' here; .*model_aliases know: .*fast, smart/);
    return true;
  });
});

test("a tier whose model is missing is another error", async () => {
  await assert.rejects(generateResponse(sensorium, "smart", asked), (error: unknown) => {
    assert.ok(error instanceof NotFoundError);
    assert.match(error.message, /org\/not-here|smart/);
    assert.doesNotMatch(error.message, /no tier/);
    return true;
  });
});

test("an abort ends it, before and in the middle", async () => {
  const aborted = AbortSignal.abort(new Error("enough"));
  await assert.rejects(
    generateResponse(sensorium, "fast", asked, { signal: aborted }),
    /enough/,
  );
  const middle = new AbortController();
  const options = {
    ...greedy,
    signal: middle.signal,
    onText: () => middle.abort(new Error("enough")),
  };
  const story = [{ role: "user", content: "Tell me a story about a fox." }];
  await assert.rejects(generateResponse(sensorium, "fast", story, options), /enough/);
});

test("leaving the loop ends the work on the server", async () => {
  for await (const piece of generateResponse(sensorium, "fast", asked, { stream: true })) {
    assert.ok(piece);
    break;
  }
  const running = async (): Promise<number> => {
    const { operations } = await sensorium.system.activity();
    return operations.find((each) => each.operation === "chat.stream")?.in_flight ?? 0;
  };
  while ((await running()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
});

test("a fallback answers while the server is away, and is known by it", async () => {
  await assert.rejects(generateResponse(away, "fast", asked), ServerAwayError);
  const fallback = async (messages: { content?: string }[]): Promise<string> =>
    `nobody answers "${messages.at(-1)?.content}"`;
  const answer = await generateResponse(away, "fast", asked, { fallback });
  assert.equal(answer.text, 'nobody answers "What is the capital of France?"');
  assert.equal(answer.isFallback, true);
  assert.equal(answer.model, "");
  const wrong = { temperature: 9, fallback };
  await assert.rejects(generateResponse(sensorium, "fast", asked, wrong), InvalidInputError);
});

test("the client's own fallback does as well", async () => {
  const client = new Sensorium({
    url: "http://127.0.0.1:1",
    retries: 0,
    fallback: {
      "chat.stream": async function* () {
        yield { text: "later" };
      },
    },
  });
  const answer = await generateResponse(client, "fast", asked);
  assert.deepEqual([answer.text, answer.isFallback], ["later", true]);
});
