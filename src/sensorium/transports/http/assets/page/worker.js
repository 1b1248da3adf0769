// What may take long, away from the page's thread: uploads, large answers, parsing.

import { call, post, Problem } from "./api.js";
import { parse } from "./csv.js";

const PIECES = 60;
const DAY_S = 86_400;

/** Each cluster's lines by position in the log, in PIECES steps. */
function histograms({ clusters, assignments, line_count: lines }) {
  const found = clusters.map(() => new Array(PIECES).fill(0));
  assignments.forEach((cluster, line) => {
    if (cluster >= 0) found[cluster][Math.floor((line * PIECES) / lines)] += 1;
  });
  return found;
}

async function cluster({ body, name, method, key }) {
  const headers = { "content-type": /\.(ndjson|jsonl)/.test(name) ? "application/x-ndjson" : "text/plain" };
  if (name.endsWith(".gz")) headers["content-encoding"] = "gzip";
  if (name.endsWith(".zst")) headers["content-encoding"] = "zstd";
  const query = new URLSearchParams({ include_assignments: true, examples: 5, method });
  const answer = await call(`v1/logs/cluster?${query}`, {
    body, headers, key, onsent: (sent, total) => postMessage({ sent, total }),
  });
  const pieces = histograms(answer);
  delete answer.assignments;
  return { ...answer, histograms: pieces };
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
