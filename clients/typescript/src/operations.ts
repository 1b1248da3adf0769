/**
 * What can be called and with what, read off the generated `paths` by the compiler.
 *
 * `logs.cluster` is `POST /v1/logs/cluster`. Of the three kinds, one that answers once answers in
 * JSON, one that streams in NDJSON, and one that listens takes NDJSON too.
 */

import type { paths } from "./schema.js";

type Post<P, N extends string> = N extends `${infer Noun}.${infer Verb}`
  ? `/v1/${Noun}/${Verb}` extends infer Path extends keyof P
    ? P[Path] extends { post: infer Operation }
      ? Operation
      : never
    : never
  : never;
type Taken<Operation> = Operation extends { requestBody?: { content: infer Content } }
  ? Content
  : never;
type Given<Operation> = Operation extends { responses: { 200: { content: infer Content } } }
  ? Content
  : never;
type Query<Operation> = Operation extends { parameters: { query?: { request?: infer Request } } }
  ? Exclude<Request, undefined>
  : never;
type KindOf<Operation> = Given<Operation> extends { "application/json": object }
  ? "unary"
  : Taken<Operation> extends { "application/json": object }
    ? "stream"
    : "duplex";
type In<Content, Type> = Type extends keyof Content ? Content[Type] : never;
type Name<P> = {
  [Path in keyof P]: Path extends `/v1/${infer Noun}/${infer Verb}`
    ? P[Path] extends { post: object }
      ? `${Noun}.${Verb}`
      : never
    : never;
}[keyof P];

/** The names of the operations, all or those of one kind. */
export type OperationName<P = paths, Kind = "unary" | "stream" | "duplex"> = {
  [N in Name<P>]: KindOf<Post<P, N>> extends Kind ? N : never;
}[Name<P>];

/** What an operation takes. */
export type RequestOf<N extends string, P = paths> =
  KindOf<Post<P, N>> extends "duplex"
    ? Query<Post<P, N>>
    : In<Taken<Post<P, N>>, "application/json">;

/** What it answers with, or what each item of its stream is. */
export type AnswerOf<N extends string, P = paths> =
  KindOf<Post<P, N>> extends "unary"
    ? In<Given<Post<P, N>>, "application/json">
    : In<Given<Post<P, N>>, "application/x-ndjson"> extends { chunk?: infer Item }
      ? Exclude<Item, undefined>
      : never;

/** What each item sent to it is, where it listens. */
export type ItemOf<N extends string, P = paths> =
  KindOf<Post<P, N>> extends "duplex" ? In<Taken<Post<P, N>>, "application/x-ndjson"> : never;

/** A promise where it answers once, an iterable where it streams. */
export type Outcome<N extends string, P = paths> =
  KindOf<Post<P, N>> extends "unary" ? Promise<AnswerOf<N, P>> : AsyncIterable<AnswerOf<N, P>>;

/** The arguments after the name: a request that needs nothing may be left out. */
export type Arguments<Request, Options> = {} extends Request
  ? [request?: Request, options?: Options]
  : [request: Request, options?: Options];

/** `logs.cluster` as `nouns.logs.cluster`. */
export type Nouns<N extends string, Methods extends Record<N, unknown>> = {
  [Noun in N as Noun extends `${infer First}.${string}` ? First : never]: {
    [Each in Extract<N, `${Noun extends `${infer First}.${string}` ? First : never}.${string}`> as
      Each extends `${string}.${infer Verb}` ? Verb : never]: Methods[Each];
  };
};
