// Drawings, as SVG.

import { h, svg } from "./dom.js";
import { count, figure, moment } from "./figures.js";

const MARGIN = { left: 52, right: 12, top: 8, bottom: 22 };

/** A pattern's lines over time. Heights grow with the square root, so that few lines show. */
export function spark(pieces, tallest) {
  const bars = pieces.map((n, i) => (n ? `M${i * 2 + 0.9},20v${-Math.max(1.5, 20 * Math.sqrt(n / tallest))}` : "")).join("");
  return svg("svg", { class: "spark", viewBox: `0 0 ${pieces.length * 2} 20`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { class: "floor", d: `M0,19.5h${pieces.length * 2}` }), svg("path", { d: bars }));
}

/** All lines over `over`, by severity; `marks` are the names of the borders between pieces. */
export function overview(clusters, severities, over, marks) {
  const pieces = clusters[0].pieces.length;
  const sums = severities.map((severity) => {
    const found = new Array(pieces).fill(0);
    for (const cluster of clusters) if (cluster.severity === severity) cluster.pieces.forEach((n, i) => { found[i] += n; });
    return found;
  });
  const total = Array.from({ length: pieces }, (_, i) => sums.reduce((sum, one) => sum + one[i], 0));
  const tallest = Math.max(...total);
  const columns = total.map((_, i) => {
    let y = 100;
    const words = [];
    const bars = severities.map((severity, s) => {
      const height = (100 * sums[s][i]) / tallest;
      if (!height) return null;
      y -= height;
      words.unshift(`${count(sums[s][i])} ${severity}`);
      return svg("rect", { class: severity, x: i * 10 + 1, width: 8, y, height });
    });
    return svg("g", {}, svg("title", {}, `${marks[i]}: ${words.join(", ") || "no lines"}`), svg("rect", { class: "hit", x: i * 10, width: 10, y: 0, height: 100 }), ...bars);
  });
  const present = severities.filter((_, s) => sums[s].some(Boolean)).reverse();
  const title = `Lines by severity, over ${over}`;
  return h("figure", { class: "overview" },
    h("figcaption", {}, h("span", {}, title), present.map((severity) => h("span", { class: `key ${severity}` }, severity))),
    svg("svg", { viewBox: `0 0 ${pieces * 10} 100`, preserveAspectRatio: "none", role: "img", "aria-label": title }, ...columns),
    h("div", { class: "ends" }, [0, 0.5, 1].map((part) => h("span", {}, marks[Math.round(pieces * part)]))));
}

/** Round steps of about a quarter of the range. */
function ticks(low, high, steps = [1, 2, 5, 10]) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 4));
  const step = steps.map((s) => s * power).find((s) => (high - low) / s <= 5) ?? 10 * power;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

const TIME_STEPS = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000, 31_536_000];

function timeTicks(low, high, width) {
  const step = TIME_STEPS.find((s) => (high - low) / s <= width / 110) ?? TIME_STEPS.at(-1);
  const zone = new Date(low * 1000).getTimezoneOffset() * 60;
  const parts = step >= 86_400 ? "day" : step >= 60 ? "clock" : "time";
  const found = [];
  for (let at = Math.ceil((low - zone) / step) * step + zone; at <= high; at += step) {
    const text = moment(at, parts);
    found.push([at, text === "00:00" ? moment(at, "day") : text]);
  }
  return found;
}

/** Points thinned to the extremes of each pixel, in order. */
function thin(times, values, low, high, width) {
  if (times.length <= width * 3) return times.map((t, i) => [t, values[i]]);
  const found = [];
  for (let start = 0; start < times.length;) {
    const pixel = Math.floor(((times[start] - low) / (high - low)) * width);
    let end = start;
    let [least, most] = [start, start];
    for (; end < times.length && Math.floor(((times[end] - low) / (high - low)) * width) === pixel; end += 1) {
      if (values[end] === null) continue;
      if (values[least] === null || values[end] < values[least]) least = end;
      if (values[most] === null || values[end] > values[most]) most = end;
    }
    for (const i of [...new Set([least, most])].sort((a, b) => a - b)) found.push([times[i], values[i]]);
    start = end;
  }
  return found;
}

/**
 * A series with its band, anomalies and forecast. `one`: {times, values, lower, upper, anomalies,
 * forecast: [{timestamp, value, lower, upper}], timed}; `say(text)` tells what is under the pointer.
 */
export function lineChart(one, width, height, say) {
  const { times, values, lower, upper, anomalies, forecast } = one;
  const right = width - MARGIN.right;
  const bottom = height - MARGIN.bottom;
  const from = times[0];
  const to = Math.max(times.at(-1), forecast.at(-1)?.timestamp ?? -Infinity, from + 1e-6);
  const [low, high] = range(values, forecast);
  const x = (t) => MARGIN.left + ((t - from) / (to - from)) * (right - MARGIN.left);
  const y = (v) => Math.min(bottom, Math.max(MARGIN.top, bottom - ((v - low) / (high - low)) * (bottom - MARGIN.top)));
  const point = (t, v) => `${x(t).toFixed(1)},${y(v).toFixed(1)}`;
  const line = (pairs) => pairs.map(([t, v], i) => (v === null ? "" : `${i && pairs[i - 1][1] !== null ? "L" : "M"}${point(t, v)}`)).join("");
  const thinned = (list) => thin(times, list, from, to, right - MARGIN.left);
  const cursor = svg("path", { class: "cursor", d: "" });
  const xTicks = one.timed ? timeTicks(from, to, width) : ticks(from, to).map((t) => [t, count(t)]);
  const drawing = svg("svg", { class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": one.summary },
    ticks(low, high).map((v) => svg("g", { class: "tick" }, svg("path", { d: `M${MARGIN.left},${y(v)}H${right}` }),
      svg("text", { x: MARGIN.left - 8, y: y(v) + 4, "text-anchor": "end" }, figure(v)))),
    xTicks.map(([t, text]) => svg("text", { class: "tick", x: Math.min(x(t), right - 24), y: height - 5, "text-anchor": "middle" }, text)),
    areas(thinned(lower), thinned(upper), point).map((d) => svg("path", { class: "band", d })),
    areas(forecast.map((p) => [p.timestamp, p.lower]), forecast.map((p) => [p.timestamp, p.upper]), point).map((d) => svg("path", { class: "interval", d })),
    svg("path", { class: "line", d: line(thinned(values)) }),
    svg("path", { class: "forecast", d: line(forecast.map((p) => [p.timestamp, p.value])) }),
    anomalies.map((a) => svg("circle", { class: "anomaly", cx: x(a.timestamp), cy: y(a.value), r: 4, "data-index": a.index })),
    cursor);
  drawing.addEventListener("pointermove", (event) => {
    const inside = event.clientX - drawing.getBoundingClientRect().left;
    const at = from + ((inside - MARGIN.left) / (right - MARGIN.left)) * (to - from);
    const nearest = closest(times, at);
    cursor.setAttribute("d", `M${x(times[nearest]).toFixed(1)},${MARGIN.top}V${bottom}`);
    say(nearest);
  });
  drawing.addEventListener("pointerleave", () => { cursor.setAttribute("d", ""); say(null); });
  return drawing;
}

/** The values, and of the forecast's interval no more than as much again. */
function range(values, forecast) {
  const met = values.filter((v) => v !== null);
  const least = met.reduce((a, b) => Math.min(a, b), Infinity);
  const most = met.reduce((a, b) => Math.max(a, b), -Infinity);
  const room = (most - least || Math.abs(most) || 1) / 2;
  const low = Math.max(least - room, forecast.reduce((a, p) => Math.min(a, p.lower), least));
  const high = Math.min(most + room, forecast.reduce((a, p) => Math.max(a, p.upper), most));
  const air = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - air, high + air];
}

/** Closed paths between two edges, interrupted where an edge is unknown. */
function areas(lower, upper, point) {
  const found = [];
  let [there, back] = [[], []];
  const close = () => {
    if (there.length > 1) found.push(`M${[...there, ...back.reverse()].join("L")}Z`);
    [there, back] = [[], []];
  };
  lower.forEach(([t, v], i) => {
    if (v === null || !upper[i] || upper[i][1] === null) return close();
    there.push(point(t, v));
    back.push(point(upper[i][0], upper[i][1]));
  });
  close();
  return found;
}

function closest(times, at) {
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low && at - times[low - 1] < times[low] - at ? low - 1 : low;
}
