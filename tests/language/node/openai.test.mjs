// OpenAI's own client for Node, against a running server.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const baseURL = `${process.env.SENSORIUM_URL}/v1`;
const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0 });
const model = "tinylm";
const question = "What is the capital of France?";
const paris = "The capital of France is Paris.";
const asked = { model, temperature: 0, messages: [{ role: "user", content: question }] };

test("models", async () => {
  const found = [];
  for await (const each of client.models.list()) found.push(each.id);
  assert.ok(found.includes(model));
  assert.equal((await client.models.retrieve(model)).object, "model");
  await assert.rejects(client.models.retrieve("org/nope"), OpenAI.NotFoundError);
});

test("a conversation, whole and streamed", async () => {
  const whole = await client.chat.completions.create(asked);
  assert.equal(whole.choices[0].message.content, paris);
  const options = { stream: true, stream_options: { include_usage: true } };
  let text = "";
  let usage = null;
  for await (const chunk of await client.chat.completions.create({ ...asked, ...options })) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, paris);
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

test("the helper of streams", async () => {
  const stream = client.chat.completions.stream(asked);
  assert.equal(await stream.finalContent(), paris);
});

test("a stream that is broken off", async () => {
  const stream = await client.chat.completions.create({ ...asked, stream: true });
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    break;
  }
  assert.ok(stream.controller.signal.aborted);
});

test("completions", async () => {
  const prompt = ["Once upon a time", "The capital of"];
  const found = await client.completions.create({ model, prompt, temperature: 0, max_tokens: 4 });
  assert.equal(found.choices.length, 2);
});

test("embeddings", async () => {
  const input = ["a red fox", "an animal"];
  const usual = await client.embeddings.create({ model, input });
  const plain = await client.embeddings.create({ model, input, encoding_format: "float" });
  assert.equal(usual.data[1].embedding.length, plain.data[1].embedding.length);
  usual.data[1].embedding.forEach((each, index) => {
    assert.ok(Math.abs(each - plain.data[1].embedding[index]) < 1e-6);
  });
});

test("responses", async () => {
  const first = await client.responses.create({ model, input: question, temperature: 0 });
  assert.equal(first.output_text, paris);
  const stream = client.responses.stream({ model, input: question, temperature: 0 });
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  assert.equal(kinds[0], "response.created");
  assert.equal(kinds.at(-1), "response.completed");
  assert.equal((await stream.finalResponse()).output_text, paris);
  assert.equal((await client.responses.retrieve(first.id)).id, first.id);
  await client.responses.delete(first.id);
  await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
});

test("errors", async () => {
  const wrong = client.chat.completions.create({ ...asked, n: 1000 });
  await assert.rejects(wrong, (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "n");
    return true;
  });
  const unknown = client.chat.completions.create({ ...asked, model: "nope" });
  await assert.rejects(unknown, OpenAI.NotFoundError);
});
