// Sensorium over native messaging: calls with ids of their own, answers in parts put together.

export class Sensorium {
  #port;
  #calls = new Map();
  #parts = "";
  #next = 1;

  constructor(name = "sensorium") {
    this.#port = chrome.runtime.connectNative(name);
    this.#port.onMessage.addListener((message) => this.#hear(message));
    this.#port.onDisconnect.addListener(() => {
      const why = chrome.runtime.lastError?.message ?? "the host has ended";
      for (const call of this.#calls.values()) call.reject(new Error(why));
      this.#calls.clear();
    });
  }

  // The answer of a unary operation.
  call(op, data = {}) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#port.postMessage({ id, op, data });
    });
  }

  close() {
    this.#port.disconnect();
  }

  #hear(message) {
    if ("part" in message) {
      this.#parts += message.part;
      if (message.more) return;
      message = JSON.parse(this.#parts);
      this.#parts = "";
    }
    const call = this.#calls.get(message.id);
    this.#calls.delete(message.id);
    if (message.error) call?.reject(Object.assign(new Error(message.error.message), message.error));
    else call?.resolve(message.data);
  }
}
