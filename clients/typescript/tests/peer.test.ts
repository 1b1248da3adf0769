import assert from "node:assert/strict";
import { test } from "node:test";
import { Sensorium, ServerAwayError, openPeer } from "../src/index.js";

class Wire extends EventTarget {
  readyState = "connecting";
  bufferedAmountLowThreshold = 0;
  bufferedAmount = 0;
  readonly sent: string[] = [];
  send = (text: string): void => void this.sent.push(text);
  close = (): void => undefined;
}

/** A peer connection that finds one candidate before the answer and one after it. */
class Fake extends EventTarget {
  static last: Fake;
  static connects = true;
  readonly log: string[] = [];
  readonly wire = new Wire();
  connectionState = "new";
  localDescription: { sdp: string } | null = null;

  constructor(readonly configuration: RTCConfiguration) {
    super();
    Fake.last = this;
  }

  createDataChannel(name: string): Wire {
    this.log.push(`channel ${name}`);
    return this.wire;
  }

  addTrack(track: { id: string }): void {
    this.log.push(`track ${track.id}`);
  }

  addTransceiver(kind: string, { direction }: { direction: string }): void {
    this.log.push(`transceiver ${kind} ${direction}`);
  }

  async createOffer(): Promise<{ sdp: string }> {
    this.log.push("offer");
    return { sdp: "offered" };
  }

  async setLocalDescription(description: { sdp: string }): Promise<void> {
    this.log.push("local");
    this.localDescription = description;
    this.found("early");
  }

  async setRemoteDescription({ type, sdp }: { type: string; sdp: string }): Promise<void> {
    this.log.push(`remote ${type} ${sdp}`);
    this.found("late");
    this.found("");
    this.found(null);
    setImmediate(() => {
      if (Fake.connects) {
        this.wire.readyState = "open";
        this.wire.dispatchEvent(new Event("open"));
      } else {
        this.fail();
      }
    });
  }

  close(): void {
    this.log.push("close");
  }

  fail(): void {
    this.connectionState = "failed";
    this.dispatchEvent(new Event("connectionstatechange"));
  }

  private found(text: string | null): void {
    const candidate = text === null ? null : { candidate: text, sdpMid: "0", sdpMLineIndex: 0 };
    this.dispatchEvent(Object.assign(new Event("icecandidate"), { candidate }));
  }
}

const RTCPeerConnection = Fake as unknown as typeof globalThis.RTCPeerConnection;

/** A client that notes what it is asked in the peer's log. */
const client = {
  async call(name: string, request: Record<string, unknown>): Promise<object> {
    Fake.last.log.push([name, ...Object.values(request)].join(" "));
    return name === "webrtc.offer" ? { session: "s1", sdp: "answered" } : {};
  },
};

test("the offer goes at once, and candidates when the session is known", async () => {
  Fake.connects = true;
  const tracks = [{ id: "camera" }] as MediaStreamTrack[];
  const iceServers = [{ urls: "stun:example.org" }];
  const options = { RTCPeerConnection, tracks, iceServers, receiveVideo: true };
  const { connection, session, close } = await openPeer(client, options);
  const { log, wire, configuration } = Fake.last;
  assert.equal(session, "s1");
  assert.deepEqual(configuration, { iceServers });
  assert.deepEqual(log.slice(0, 6), [
    "channel sensorium",
    "track camera",
    "transceiver video recvonly",
    "offer",
    "local",
    "webrtc.offer offered",
  ]);
  assert.deepEqual(log.slice(6).sort(), [
    "remote answer answered",
    "webrtc.candidate s1 early 0 0",
    "webrtc.candidate s1 late 0 0",
  ]);
  const answer = connection.call("system.health");
  await new Promise(setImmediate);
  assert.deepEqual(JSON.parse(wire.sent[0] ?? ""), { id: 1, op: "system.health", data: {} });
  await Promise.all([close(), assert.rejects(answer, ServerAwayError)]);
  assert.deepEqual(log.slice(9), ["close", "webrtc.close s1"]);
});

test("a way that is lost ends what is pending", { timeout: 60_000 }, async () => {
  Fake.connects = true;
  const { connection } = await openPeer(client, { RTCPeerConnection });
  const answer = connection.call("system.health");
  Fake.last.fail();
  await assert.rejects(answer, ServerAwayError);
});

test("where there is no way to the server, both ends are closed", async () => {
  Fake.connects = false;
  await assert.rejects(openPeer(client, { RTCPeerConnection }), /no way there/);
  assert.deepEqual(Fake.last.log.slice(-2), ["close", "webrtc.close s1"]);
});

test("a refused offer is the caller's to hear, and the peer is closed", async () => {
  const nobody = new Sensorium({ url: "http://127.0.0.1:9", retries: 0 });
  await assert.rejects(openPeer(nobody, { RTCPeerConnection }), ServerAwayError);
  assert.equal(Fake.last.log.at(-1), "close");
});
