// Series with their band, their anomalies and what is to come.

import { lineChart } from "./charts.js";
import { h } from "./dom.js";
import { duration, figure, moment, plural } from "./figures.js";
import { intake } from "./intake.js";
import { sampleMetrics } from "./samples.js";

const DRAWN = 24;
const HEIGHT = 240;
const LISTED = 200;

export function metrics(section) {
  const again = () => input.again();
  const choice = (name, options) =>
    h("label", {}, name, h("select", { onchange: again }, options.map(([value, text]) => h("option", { value }, text))));
  const chosen = (label) => label.querySelector("select").value;
  const method = choice("Anomalies by", [["novelty", "novelty"], ["sigma", "two sigma of 26 h"]]);
  const sensitivity = choice("Sensitivity", [[1, "normal"], [1.5, "high"], [0.6, "low"]]);
  const horizon = choice("Forecast", [[0, "a sixth of the data"], [900, "15 min"], [3600, "1 h"], [21_600, "6 h"], [86_400, "1 day"], [604_800, "1 week"]]);
  const options = h("div", { class: "toolbar" }, method, sensitivity, horizon);
  const input = intake(section, {
    words: {
      title: "What do these metrics do?",
      lead: "Each series with the band it should keep, the points that left it, and a forecast.",
      hint: "Drop a CSV file here, paste rows",
      file: "choose a file",
      placeholder: "timestamp,latency_ms\n1795172761,17.4\n1795172821,18.1",
      action: "Judge and forecast",
      again: "Other metrics",
    },
    options: [],
    job: () => ({ job: "judge", method: chosen(method), sensitivity: Number(chosen(sensitivity)), horizon: Number(chosen(horizon)) }),
    sample: sampleMetrics,
    done: (result, seconds) => [input.title(), options, ...render(result, seconds)],
  });
  return input;
}

function render({ series, horizon, withoutForecast }, seconds) {
  const found = series.reduce((sum, one) => sum + one.anomalies.length, 0);
  const points = series.reduce((sum, one) => sum + one.values.length, 0);
  const notes = [
    `${plural(series.length, "series", "series")}, ${plural(points, "point")}, ${plural(found, "anomaly", "anomalies")}; ` +
      `${duration(horizon)} ahead; answered in ${duration(seconds)}.`,
    withoutForecast && `No forecast: ${withoutForecast}.`,
    series.length > DRAWN && `The first ${DRAWN} series are drawn.`,
  ];
  return [h("p", { class: "quiet note" }, notes.filter(Boolean).join(" ")), ...series.slice(0, DRAWN).map(card)];
}

function card(answer) {
  const one = drawable(answer);
  const readout = h("p", { class: "readout" }, legend());
  const say = (i) => readout.replaceChildren(i === null ? legend() : under(one, i));
  const frame = h("div", { class: "frame" });
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width > 0) frame.replaceChildren(lineChart(one, Math.round(contentRect.width), HEIGHT, say));
  }).observe(frame);
  return h("article", { class: "series" },
    h("h2", {}, answer.name || "values", h("small", {}, one.summary)), readout, frame, list(one));
}

/** The answer in order of time, as a chart takes it. */
function drawable(answer) {
  const timed = answer.timestamps !== null;
  const at = timed ? answer.timestamps : answer.values.map((_, i) => i);
  const order = at.map((_, i) => i).sort((a, b) => at[a] - at[b]);
  const along = (list) => order.map((i) => list[i]);
  const last = at.at(-1);
  const forecast = answer.forecast?.points ?? [];
  const steps = timed ? forecast : forecast.map((p, i) => ({ ...p, timestamp: last + 1 + i }));
  const anomalies = answer.anomalies.map((a) => (timed ? a : { ...a, timestamp: a.index }));
  const band = answer.band ?? { lower: answer.values.map(() => null), upper: answer.values.map(() => null), expected: answer.values.map(() => null) };
  const ahead = forecast.length ? `forecast by ${answer.forecast.method}: ${figure(forecast.at(-1).value)} at the end` : "no forecast";
  return {
    timed, anomalies, times: along(at), values: along(answer.values),
    lower: along(band.lower), upper: along(band.upper), forecast: steps,
    summary: `${plural(anomalies.length, "anomaly", "anomalies")} · ${ahead}`,
  };
}

const legend = () => h("span", { class: "legend" },
  ["value", "band", "anomaly", "forecast"].map((name) =>
    h("span", { class: `key ${name}` }, { band: "expected band", forecast: "forecast, 95 % interval" }[name] ?? name)));

const when = (one, time) => (one.timed ? moment(time) : `point ${time + 1}`);
const between = (lower, upper) => (lower === null ? "not judged" : `expected ${figure(lower)} to ${figure(upper)}`);
const under = (one, i) => h("span", {}, `${when(one, one.times[i])}   `, h("b", {}, one.values[i] === null ? "missing" : figure(one.values[i])), `   ${between(one.lower[i], one.upper[i])}`);

function list(one) {
  if (!one.anomalies.length) return h("p", { class: "quiet note" }, "Every point kept to its band.");
  const rows = one.anomalies.slice(0, LISTED).map((a) =>
    h("tr", {}, h("td", {}, when(one, a.timestamp)), h("td", { class: "number" }, figure(a.value)),
      h("td", {}, a.direction), h("td", { class: "number" }, `${figure(a.lower)} to ${figure(a.upper)}`),
      h("td", { class: "number" }, figure(Number(a.score.toFixed(2))))));
  return h("details", { class: "anomalies", open: one.anomalies.length <= 6 },
    h("summary", {}, plural(one.anomalies.length, "anomaly", "anomalies")),
    h("div", { class: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, ["When", "Value", "Side", "Expected", "Score"].map((name, i) => h("th", { class: i % 2 || i === 4 ? "number" : null }, name)))),
      h("tbody", {}, rows))),
    one.anomalies.length > LISTED ? h("p", { class: "quiet note" }, `The first ${LISTED} are listed.`) : null);
}
