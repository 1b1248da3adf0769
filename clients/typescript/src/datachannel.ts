/** A WebRTC data channel, which carries neither long messages nor many at once. */

import { type Channel, parsed } from "./channel.js";

/** What every browser takes as one message. */
const MAX_BYTES = 60_000;
/** A part of so many UTF-16 units, of three bytes at most each as JSON, is shorter with its frame. */
const PART_UNITS = 19_900;
const MAX_BUFFERED = 1 << 20;

/** The channel of a data channel that is open. */
export function dataChannel(wire: RTCDataChannel): Channel {
  wire.bufferedAmountLowThreshold = MAX_BUFFERED;
  let before = Promise.resolve();
  const channel: Channel = {
    send(message) {
      const sent = before.then(() => write(wire, message));
      before = sent.catch(() => undefined); // the parts of a message stand together
      return sent;
    },
    close: () => wire.close(),
    onMessage: () => undefined,
    onClose: () => undefined,
  };
  wire.addEventListener("message", ({ data }) => channel.onMessage(parsed(data as string)));
  wire.addEventListener("close", () => channel.onClose("the data channel closed"));
  return channel;
}

async function write(wire: RTCDataChannel, message: object): Promise<void> {
  for (const text of framed(message as { id: number })) {
    if (wire.bufferedAmount > MAX_BUFFERED) await drained(wire);
    wire.send(text);
  }
}

function* framed(message: { id: number }): Generator<string> {
  const text = JSON.stringify(message);
  if (text.length <= PART_UNITS || new TextEncoder().encode(text).length <= MAX_BYTES) {
    yield text;
    return;
  }
  for (let start = 0, end: number; start < text.length; start = end) {
    end = Math.min(start + PART_UNITS, text.length);
    const inPair = end < text.length && /[\uD800-\uDBFF]/.test(text.charAt(end - 1));
    if (inPair) end -= 1;
    const part = text.slice(start, end);
    yield JSON.stringify({ id: message.id, part, more: end < text.length });
  }
}

/** Resolved when there is room again, or nobody to send to. */
function drained(wire: RTCDataChannel): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      wire.removeEventListener("bufferedamountlow", go);
      wire.removeEventListener("close", go);
      resolve();
    };
    wire.addEventListener("bufferedamountlow", go);
    wire.addEventListener("close", go);
  });
}
