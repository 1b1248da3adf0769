import assert from "node:assert/strict";
import { test } from "node:test";
import { dataChannel } from "../src/index.js";

/** A data channel that keeps what is sent, and has room when it is told to. */
class Wire extends EventTarget {
  readonly sent: string[] = [];
  readyState = "open";
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;

  send(text: string): void {
    this.sent.push(text);
    this.bufferedAmount += Buffer.byteLength(text);
  }

  drain(): void {
    this.bufferedAmount = 0;
    this.dispatchEvent(new Event("bufferedamountlow"));
  }

  close(): void {
    this.dispatchEvent(new Event("close"));
  }
}

function joined(sent: string[]): unknown {
  const parts = sent.map((text) => JSON.parse(text) as { id: number; part: string; more: boolean });
  assert.deepEqual(parts.map(({ more }) => more), parts.map((_, at) => at < parts.length - 1));
  assert.ok(parts.every(({ id }) => id === 1));
  return JSON.parse(parts.map(({ part }) => part).join(""));
}

test("a message that fits goes as it is", async () => {
  const wire = new Wire();
  const message = { id: 1, op: "logs.cluster", data: { lines: ["ä".repeat(29_000)] } };
  await dataChannel(wire as unknown as RTCDataChannel).send(message);
  assert.deepEqual(wire.sent.map((text) => JSON.parse(text) as unknown), [message]);
});

test("a longer one goes in parts below 60,000 bytes, of whole characters", async () => {
  for (const text of ["a", "👋", "漢", '"', "\\", "\n", "\u0001", "\u2028", "a👋漢\""]) {
    const wire = new Wire();
    const message = { id: 1, data: text.repeat(70_001) };
    await dataChannel(wire as unknown as RTCDataChannel).send(message);
    assert.ok(wire.sent.length > 1);
    for (const sent of wire.sent) {
      assert.ok(Buffer.byteLength(sent) < 60_000);
      assert.doesNotMatch((JSON.parse(sent) as { part: string }).part, /^[\uDC00-\uDFFF]/);
    }
    assert.deepEqual(joined(wire.sent), message);
  }
});

test("above a mebibyte it waits for room, and parts stay together", async () => {
  const wire = new Wire();
  const channel = dataChannel(wire as unknown as RTCDataChannel);
  const long = { id: 1, data: "a".repeat(3 << 20) };
  const sending = Promise.all([channel.send(long), channel.send({ id: 2, cancel: true })]);
  let isSent = false;
  const sent = sending.then(() => {
    isSent = true;
  });
  let most = 0;
  while (!isSent) {
    await new Promise(setImmediate);
    most = Math.max(most, wire.bufferedAmount);
    wire.drain();
  }
  await sent;
  assert.ok(most > 1 << 20 && most < (1 << 20) + 60_000);
  assert.deepEqual(JSON.parse(wire.sent.pop() ?? ""), { id: 2, cancel: true });
  assert.deepEqual(joined(wire.sent), long);
});

test("what it hears are messages, and its end is told", () => {
  const wire = new Wire();
  const channel = dataChannel(wire as unknown as RTCDataChannel);
  const heard: object[] = [];
  const told: string[] = [];
  channel.onMessage = (message) => heard.push(message);
  channel.onClose = (why) => told.push(why);
  wire.dispatchEvent(new MessageEvent("message", { data: '{"id": 1, "end": {}}' }));
  channel.close();
  assert.deepEqual(heard, [{ id: 1, end: {} }]);
  assert.deepEqual(told, ["the data channel closed"]);
});
