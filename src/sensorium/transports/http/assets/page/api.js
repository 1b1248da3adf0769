// Calls of this server's operations, as any other client makes them; also used inside the worker.

const base = new URL("../", import.meta.url);

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || `the server answered ${status}`);
    this.status = status;
    this.code = document.code ?? "";
    this.at = document.details?.at ?? "";
    this.requestId = document.request_id ?? "";
  }

  /** A plain object that crosses to another thread, and back. */
  toMessage() {
    const { message, status, code, at, requestId } = this;
    return { detail: message, status, code, details: { at }, request_id: requestId };
  }
}

const UNREACHED = {
  detail:
    "The connection ended before an answer came. Is the server still running? Where the input is " +
    "large, it may be more than the server takes (its max_body_bytes).",
};

/** POST a body, or GET without one; resolves to the answer's JSON, rejects with a Problem. */
export function call(path, { body, headers = {}, key, onsent } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(body === undefined ? "GET" : "POST", new URL(path, base));
    request.responseType = "json";
    if (key) request.setRequestHeader("authorization", `Bearer ${key}`);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    if (onsent) request.upload.onprogress = (event) => onsent(event.loaded, event.total);
    request.onload = () =>
      request.status === 200 && request.response !== null
        ? resolve(request.response)
        : reject(new Problem(request.status, request.response ?? {}));
    request.onerror = () => reject(new Problem(0, UNREACHED));
    request.send(body);
  });
}

export const post = (path, document, key) =>
  call(path, { body: JSON.stringify(document), headers: { "content-type": "application/json" }, key });
