// What may take long, away from the page's thread: uploads, large answers, parsing.

import { call, post, Problem } from "./api.js";
import { parse } from "./csv.js";
import { count } from "./figures.js";
import { lineTimes, written } from "./times.js";

const PIECES = 60;
const DAY_S = 86_400;

/** Which of PIECES each line falls into: by its time where every line has one, else by position. */
function axis(times, lines) {
  if (times?.length === lines && !Number.isNaN(times[0])) {
    const from = times.reduce((a, b) => Math.min(a, b), Infinity);
    const span = times.reduce((a, b) => Math.max(a, b), -Infinity) - from;
    if (span > 0) {
      return {
        over: "time",
        piece: (line) => Math.min(PIECES - 1, Math.floor(((times[line] - from) * PIECES) / span)),
        mark: (i) => written(from + (span * i) / PIECES, span),
      };
    }
  }
  return {
    over: "the log",
    piece: (line) => Math.floor((line * PIECES) / lines),
    mark: (i) => `line ${count(Math.min(lines, Math.floor((lines * i) / PIECES) + 1))}`,
  };
}

async function cluster({ body, name, method, key }) {
  const headers = { "content-type": /\.(ndjson|jsonl)/.test(name) ? "application/x-ndjson" : "text/plain" };
  if (name.endsWith(".gz")) headers["content-encoding"] = "gzip";
  if (name.endsWith(".zst")) headers["content-encoding"] = "zstd";
  const query = new URLSearchParams({ include_assignments: true, examples: 5, method });
  const { assignments, ...answer } = await call(`v1/logs/cluster?${query}`, {
    body, headers, key, onsent: (sent, total) => postMessage({ sent, total }),
  });
  const times = await lineTimes(body, name).catch(() => null); // drawn by position then
  const { over, piece, mark } = axis(times, answer.line_count);
  const histograms = answer.clusters.map(() => new Array(PIECES).fill(0));
  assignments.forEach((found, line) => {
    if (found >= 0) histograms[found][piece(line)] += 1;
  });
  const marks = Array.from({ length: PIECES + 1 }, (_, i) => mark(i));
  return { ...answer, histograms, over, marks };
}

/** A sixth of the time that the series covers, within a minute and a week. */
function horizonOf(series) {
  const spans = series.map(({ timestamps: t, values }) =>
    t ? t.reduce((a, b) => Math.max(a, b), -Infinity) - t.reduce((a, b) => Math.min(a, b), Infinity) : values.length * 60);
  return Math.min(7 * DAY_S, Math.max(60, Math.max(...spans) / 6));
}

async function judge({ body, method, sensitivity, horizon, key }) {
  const series = parse(await body.text());
  const horizonS = horizon || horizonOf(series);
  const [detected, forecast] = await Promise.all([
    post("v1/metrics/detect_anomalies", { series, method, sensitivity, include_band: true }, key),
    post("v1/metrics/forecast", { series, horizon_s: horizonS }, key).catch((problem) => problem),
  ]);
  if (forecast instanceof Problem && forecast.status === 401) throw forecast;
  return {
    horizon: horizonS,
    withoutForecast: forecast instanceof Problem ? forecast.message : "",
    series: series.map((one, i) => ({
      ...one, ...detected.series[i], forecast: forecast.series?.[i] ?? null,
    })),
  };
}

const JOBS = { cluster, judge };

onmessage = async ({ data }) => {
  const began = performance.now();
  try {
    const result = await JOBS[data.job](data);
    postMessage({ result, seconds: (performance.now() - began) / 1000 });
  } catch (error) {
    const problem = error instanceof Problem ? error : new Problem(0, { detail: error.message });
    postMessage({ problem: problem.toMessage() });
  }
};
