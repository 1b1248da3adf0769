/** The live server of these tests, and the operations of its testing plugin. */

import type { paths } from "../src/index.js";

interface Unary<Request, Answer> {
  post: {
    requestBody: { content: { "application/json": Request } };
    responses: { 200: { content: { "application/json": Answer } } };
  };
}
interface Streamed<Request, Item> {
  post: {
    requestBody: { content: { "application/json": Request } };
    responses: { 200: { content: { "application/x-ndjson": { chunk?: Item } } } };
  };
}
interface Listening<Request, Taken, Item> {
  post: {
    parameters: { query?: { request?: Request } };
    requestBody: { content: { "application/x-ndjson": Taken } };
    responses: { 200: { content: { "application/x-ndjson": { chunk?: Item } } } };
  };
}
interface Token {
  token: string;
  seconds?: number;
}
interface Times {
  count?: number;
  seconds?: number;
  fail_after?: number;
}
interface Item {
  index: number;
  token: string;
}

/** As `openapi-typescript` would write them. */
export type Paths = paths & {
  "/v1/testing/inline": Unary<Token, Token>;
  "/v1/testing/process": Unary<Token, Token>;
  "/v1/testing/change": Unary<Token, Item>;
  "/v1/testing/count": Streamed<Times, Item>;
  "/v1/testing/mirror": Listening<Times, Token, Item>;
};

const { SENSORIUM_URL, SENSORIUM_KEY } = process.env;
if (SENSORIUM_URL === undefined || SENSORIUM_KEY === undefined) {
  throw new Error("these tests want a server: set SENSORIUM_URL and SENSORIUM_KEY");
}
export const url = SENSORIUM_URL;
export const key = SENSORIUM_KEY;

/** Resolved when so many calls of an operation run, or wait, on the server. */
export async function inFlight(operation: string, wanted: number): Promise<void> {
  const line = new RegExp(`^sensorium_calls_in_flight\\{operation="${operation}"\\} (.*)$`, "m");
  for (const until = Date.now() + 60_000; Date.now() < until; ) {
    const scraped = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${key}` } });
    if (Number(line.exec(await scraped.text())?.[1] ?? 0) === wanted) return;
  }
  throw new Error(`there were never ${wanted} calls of ${operation}`);
}
