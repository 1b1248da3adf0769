export {
  type Channel,
  type NativePort,
  type Socket,
  type WebSocketOptions,
  nativePort,
  openWebSocket,
} from "./channel.js";
export { type Options, Sensorium, type Settings } from "./client.js";
export { Connection, type Fed, type StreamOptions } from "./connection.js";
export { dataChannel } from "./datachannel.js";
export * from "./errors.js";
export { type Fallback, type Fallbacks, isFallback } from "./fallback.js";
export type { AnswerOf, ItemOf, OperationName, Outcome, RequestOf } from "./operations.js";
export type { CallOptions } from "./options.js";
export { type Peer, type PeerOptions, type Signalling, openPeer } from "./peer.js";
export { type Allocation, type AllocationRequest, allocateResources } from "./resources.js";
export {
  type GeneratedResponse,
  type Messages,
  type ResponseOptions,
  generateResponse,
} from "./responses.js";
export type { components, paths } from "./schema.js";
