/** What a connection runs over, and the two channels that a browser and Node have of their own. */

import { ServerAwayError } from "./errors.js";

/** Carries whole messages, in order, both ways. */
export interface Channel {
  /** Resolved when more may be sent: a channel may be slower than its sender. */
  send(message: object): Promise<void>;
  close(): void;
  onMessage: (message: object) => void;
  /** Called once, with the reason. */
  onClose: (why: string) => void;
}

/** The message of a text; of one that is none, an error of the connection as a whole. */
export function parsed(text: string): object {
  try {
    return JSON.parse(text) as object;
  } catch {
    return { id: null, error: { code: "internal", message: "what came is not JSON" } };
  }
}

/** What is needed of a WebSocket: the browser's, Node's or that of the package `ws`. */
export interface Socket {
  addEventListener(type: string, listener: (event: any) => void): void;
  send(text: string): void;
  close(): void;
}

export interface WebSocketOptions {
  key?: string | undefined;
  /** In place of the global one, which Node has from version 22 on. */
  WebSocket?: new (url: string, protocols: string[]) => Socket;
}

/** A WebSocket to the server at that address, once it is open. */
export async function openWebSocket(url: string, options: WebSocketOptions = {}): Promise<Channel> {
  const { key, WebSocket: Kind = globalThis.WebSocket } = options;
  // A browser's WebSocket has no headers of its own, so the key goes as a subprotocol.
  const protocols = ["sensorium.v1", ...(key === undefined ? [] : [`sensorium.key.${key}`])];
  const address = `${url.replace(/^http/, "ws").replace(/\/+$/, "")}/v1/ws`;
  const socket: Socket = new Kind(address, protocols);
  const channel: Channel = {
    send: async (message) => socket.send(JSON.stringify(message)),
    close: () => socket.close(),
    onMessage: () => undefined,
    onClose: () => undefined,
  };
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("error", () => {
      const said = `no WebSocket to ${address}: the server is away, or takes another key`;
      reject(new ServerAwayError(said)); // which of the two, nobody tells
    });
  });
  socket.addEventListener("message", ({ data }: { data: string }) => {
    channel.onMessage(parsed(data));
  });
  socket.addEventListener("close", ({ code, reason }: { code: number; reason: string }) => {
    channel.onClose(`the WebSocket closed (${code}${reason && `, ${reason}`})`);
  });
  return channel;
}

/** What is needed of `chrome.runtime.Port`. */
export interface NativePort {
  postMessage(message: object): void;
  disconnect(): void;
  onMessage: { addListener(listener: (message: object) => void): void };
  onDisconnect: { addListener(listener: () => void): void };
}

/** Native messaging, from a browser's extension: `nativePort(chrome.runtime.connectNative("sensorium"))`. */
export function nativePort(port: NativePort): Channel {
  const channel: Channel = {
    send: async (message) => port.postMessage(message),
    close: () => port.disconnect(),
    onMessage: () => undefined,
    onClose: () => undefined,
  };
  port.onMessage.addListener((message) => channel.onMessage(message));
  port.onDisconnect.addListener(() => channel.onClose("the program at the other end has ended"));
  return channel;
}
