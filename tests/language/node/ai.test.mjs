// Vercel's AI SDK, which goes on with a conversation by naming the items it has seen.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

const openai = createOpenAI({ baseURL: `${process.env.SENSORIUM_URL}/v1`, apiKey: "any" });
const model = openai("tinylm");
const question = "What is the capital of France?";
const paris = "The capital of France is Paris.";
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = {
  get_weather: tool({
    description: "The weather in a city.",
    inputSchema: jsonSchema(schema),
    execute: async ({ city }) => `Sunny in ${city}.`,
  }),
  web_search: openai.tools.webSearch({}),
};

test("a second turn names what was said in the first", async () => {
  const messages = [{ role: "user", content: "Hello!" }];
  const first = await generateText({ model, messages, temperature: 0 });
  messages.push(...first.response.messages, { role: "user", content: question });
  const second = await generateText({ model, messages, temperature: 0 });
  assert.match(JSON.stringify(second.request.body), /item_reference/);
  const streamed = streamText({ model, messages, temperature: 0 });
  assert.equal(await streamed.text, second.text);
});

test("a tool is called beside one that is not here, and its result is told", async () => {
  const asked = { model, tools, temperature: 0, stopWhen: stepCountIs(2), maxRetries: 0 };
  const found = await generateText({ ...asked, prompt: "What is the weather in Paris?" });
  assert.equal(found.steps.length, 2);
  assert.deepEqual(found.steps[0].toolCalls[0].input, { city: "Paris" });
});

test("conversations of the older kind", async () => {
  const asked = { model: openai.chat("tinylm"), prompt: question, temperature: 0 };
  assert.equal((await generateText(asked)).text, paris);
  assert.equal(await streamText(asked).text, paris);
});
