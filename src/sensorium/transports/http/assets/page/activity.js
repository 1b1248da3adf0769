// What this server does right now.

import { call } from "./api.js";
import { h } from "./dom.js";
import { count, duration, moment, sentence } from "./figures.js";
import { withKey } from "./key.js";

const EVERY_MS = 2000;

export function activity(section) {
  let timer = null;
  let on = false;
  const body = h("div", {});
  section.append(h("div", { class: "intake" }, h("h1", {}, "What is this server doing?"),
    h("p", { class: "lead" }, "Its calls and how long they took, since it started. Renewed every two seconds.")), body);

  async function renew() {
    clearTimeout(timer);
    try {
      body.replaceChildren(...render(await withKey((key) => call("v1/system/activity", { key }))));
    } catch (problem) {
      body.replaceChildren(h("div", { class: "failure", role: "alert" }, h("b", {}, sentence(problem.message)),
        h("span", {}, h("button", { type: "button", class: "plain", onclick: renew }, "Try again"))));
      return;
    }
    if (on && !document.hidden) timer = setTimeout(renew, EVERY_MS);
  }

  function visible(now) {
    on = now;
    clearTimeout(timer);
    if (now) renew();
  }

  document.addEventListener("visibilitychange", () => on && !document.hidden && renew());
  return { visible };
}

function render({ uptime_s: uptime, event_loop_lag_s: lag, operations, recent }) {
  const calls = operations.reduce((sum, one) => sum + one.calls, 0);
  const failed = operations.reduce((sum, one) => sum + one.failed, 0);
  const inFlight = operations.reduce((sum, one) => sum + one.in_flight, 0);
  const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  return [
    h("dl", { class: "figures" }, fact("Up for", duration(uptime)), fact("Calls", count(calls)),
      fact("Failed", count(failed)), fact("In flight", count(inFlight)), fact("Event loop late by", duration(lag))),
    h("h2", {}, "Operations"),
    table(["Operation", "Calls", "Failed", "In flight", "Median under", "99 % under"],
      operations.map((one) => [one.operation, count(one.calls), count(one.failed), count(one.in_flight), under(one, one.p50_s), under(one, one.p99_s)])),
    h("h2", {}, "Latest calls"),
    recent.length ? latest([...recent].reverse()) : h("p", { class: "empty" }, "None yet."),
  ];
}

const under = ({ calls }, seconds) => (calls ? duration(seconds) : "–");

const table = (names, rows) => h("div", { class: "scroll" }, h("table", {},
  h("thead", {}, h("tr", {}, names.map((name, i) => h("th", { class: i ? "number" : null }, name)))),
  h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, i) => h("td", { class: i ? "number" : null }, cell)))))));

function latest(calls) {
  // Latencies differ by factors of thousands: bars on a logarithmic scale, 0.1 ms to 100 s.
  const length = (seconds) => Math.min(1, Math.max(0.02, (Math.log10(seconds) + 4) / 6));
  return h("div", { class: "scroll" }, h("table", { class: "latest" },
    h("thead", {}, h("tr", {}, h("th", {}, "At"), h("th", {}, "Operation"), h("th", { class: "number" }, "Took"), h("th", { "aria-hidden": "true" }), h("th", {}, "Outcome"), h("th", {}, "Through"))),
    h("tbody", {}, calls.map((one) => h("tr", { class: one.code === "ok" ? null : "bad" },
      h("td", {}, moment(one.at, "time")), h("td", {}, one.operation),
      h("td", { class: "number" }, duration(one.seconds)), h("td", { class: "bar", "--length": length(one.seconds) }),
      h("td", { class: "outcome" }, one.code.replaceAll("_", " ")), h("td", {}, one.door))))));
}
