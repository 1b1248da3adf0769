export { type Options, Sensorium, type Settings } from "./client.js";
export * from "./errors.js";
export { type Fallback, type Fallbacks, isFallback } from "./fallback.js";
export type { AnswerOf, ItemOf, OperationName, Outcome, RequestOf } from "./operations.js";
export type { CallOptions } from "./options.js";
export type { components, paths } from "./schema.js";
