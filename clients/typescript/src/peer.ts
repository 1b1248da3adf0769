/** A connection over WebRTC, with media tracks beside it. */

import { Connection } from "./connection.js";
import { dataChannel } from "./datachannel.js";
import { NotFoundError, ServerAwayError } from "./errors.js";
import { Limit, TIMEOUT_MS } from "./options.js";
import type { AnswerOf, RequestOf } from "./operations.js";
import type { paths } from "./schema.js";

/** What is needed of a client: that it can call by name. */
export interface Signalling {
  call: (...given: never[]) => unknown;
}

/** Whatever other operations its server has, these it has. */
type Call = <N extends "webrtc.offer" | "webrtc.candidate" | "webrtc.close">(
  name: N,
  request: RequestOf<N>,
  options?: { signal: AbortSignal },
) => Promise<AnswerOf<N>>;

export interface PeerOptions {
  iceServers?: RTCIceServer[];
  tracks?: MediaStreamTrack[];
  receiveVideo?: boolean;
  /** In place of the global one, which Node does not have. */
  RTCPeerConnection?: typeof RTCPeerConnection;
  signal?: AbortSignal;
  /** How long it may take until the channel is open. */
  timeoutMs?: number;
}

export interface Peer<P = paths> {
  connection: Connection<P>;
  peer: RTCPeerConnection;
  session: string;
  close(): Promise<void>;
}

/**
 * Connect to the server, by way of a client of it.
 *
 * The offer goes before any candidate is gathered, and they follow as they are found: waiting for
 * all of them takes seconds where an address does not answer.
 */
export async function openPeer<P = paths>(
  client: Signalling,
  options: PeerOptions = {},
): Promise<Peer<P>> {
  const call = client.call as Call;
  const Kind = options.RTCPeerConnection ?? RTCPeerConnection;
  const peer = new Kind({ iceServers: options.iceServers ?? [] });
  const limit = new Limit(options.signal);
  const waitMs = options.timeoutMs ?? TIMEOUT_MS;
  limit.within(waitMs, new ServerAwayError(`no WebRTC connection within ${waitMs / 1000} s`));
  let session: string | undefined;
  const leave = async (): Promise<void> => {
    peer.close();
    if (session === undefined) return;
    await call("webrtc.close", { session }).catch((failure: unknown) => {
      if (!(failure instanceof NotFoundError)) throw failure; // it has noticed by itself
    });
  };
  try {
    const wire = peer.createDataChannel("sensorium");
    for (const track of options.tracks ?? []) peer.addTrack(track);
    if (options.receiveVideo === true) peer.addTransceiver("video", { direction: "recvonly" });
    const tell = candidates(call, peer);
    await peer.setLocalDescription(await peer.createOffer());
    const offer = { sdp: peer.localDescription?.sdp ?? "" };
    const answer = await call("webrtc.offer", offer, { signal: limit.signal });
    session = answer.session;
    tell(session);
    await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    await opened(wire, peer, limit.signal);
    const connection = new Connection<P>(dataChannel(wire));
    peer.addEventListener("connectionstatechange", () => {
      if (peer.connectionState === "failed") connection.close(); // its channel would not say so
    });
    const close = (): Promise<void> => {
      connection.close();
      return leave();
    };
    return { connection, peer, session, close };
  } catch (failure) {
    leave().catch(() => undefined); // the first failure is the one to hear of
    throw failure;
  } finally {
    limit.end();
  }
}

/** Tells the server of candidates as they are found, once the session is known. */
function candidates(call: Call, peer: RTCPeerConnection): (session: string) => void {
  let tell: (session: string) => void = () => undefined;
  const session = new Promise<string>((resolve) => {
    tell = resolve;
  });
  peer.addEventListener("icecandidate", ({ candidate: found }) => {
    if (found === null || found.candidate === "") return; // there are no more
    const { candidate, sdpMid: sdp_mid, sdpMLineIndex: sdp_m_line_index } = found;
    session
      .then((session) =>
        call("webrtc.candidate", { session, candidate, sdp_mid, sdp_m_line_index }),
      )
      .catch(() => undefined); // another may do; if none does, the channel stays shut
  });
  return tell;
}

/** Resolved when the channel is open. */
function opened(wire: RTCDataChannel, peer: RTCPeerConnection, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      if (wire.readyState === "open") resolve();
      if (peer.connectionState === "failed") reject(new ServerAwayError("WebRTC found no way there"));
      if (signal.aborted) reject(signal.reason);
    };
    wire.addEventListener("open", look);
    peer.addEventListener("connectionstatechange", look);
    signal.addEventListener("abort", look);
    look();
  });
}
