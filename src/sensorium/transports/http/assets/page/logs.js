// A log as its patterns over time.

import { overview, spark } from "./charts.js";
import { h } from "./dom.js";
import { count, duration, plural, share } from "./figures.js";
import { intake } from "./intake.js";
import { sampleLog } from "./samples.js";

const GRAVITY = ["debug", "info", "notice", "warning", "error", "critical"];
const PAGE = 100;
const ORDERS = {
  lines: ["Most lines", (a, b) => b.count - a.count],
  gravity: ["Gravest first", (a, b) => GRAVITY.indexOf(b.severity) - GRAVITY.indexOf(a.severity) || b.count - a.count],
  newest: ["Newest first", (a, b) => b.first_index - a.first_index],
};

export function logs(section) {
  const method = h("select", { "aria-label": "Method" },
    h("option", { value: "templates" }, "One cluster per pattern"),
    h("option", { value: "kmeans" }, "A few similar groups"));
  const input = intake(section, {
    words: {
      title: "What does this log say?",
      lead: "Its lines, grouped into patterns: how many, how grave, and when.",
      hint: "Drop a log file here, paste lines",
      file: "choose a file",
      placeholder: "2026-05-01 12:00:00 ERROR auth: Failed password for alice from 10.0.0.7 port 4242",
      action: "Find patterns",
      again: "Another log",
    },
    options: [method],
    job: () => ({ job: "cluster", method: method.value }),
    sample: sampleLog,
    done: (result, seconds) => [input.title(), ...render(result, seconds)],
  });
  return input;
}

function render(result, seconds) {
  const clusters = result.clusters.map((cluster, i) => ({ ...cluster, pieces: result.histograms[i] }));
  if (!clusters.length) return [h("p", { class: "empty" }, "There are no lines in it.")];
  const grave = clusters.filter(({ severity }) => GRAVITY.indexOf(severity) >= 3);
  const attention = grave.reduce((sum, cluster) => sum + cluster.count, 0);
  return [
    h("dl", { class: "figures" },
      fact("Lines", count(result.line_count)),
      fact("Patterns", count(clusters.length + result.other.clusters)),
      fact("Warnings and worse", count(attention), attention ? share(attention / result.line_count) : ""),
      fact("Headers recognised", share(result.header_share)),
      fact("Sent and answered in", duration(seconds))),
    overview(clusters, GRAVITY, result.over, result.marks),
    table(clusters, result),
  ];
}

const fact = (name, value, beside = "") =>
  h("div", {}, h("dt", {}, name), h("dd", {}, value, beside && h("small", {}, ` ${beside}`)));

function table(clusters, result) {
  const state = { order: "lines", theme: null, words: "", shown: PAGE };
  const rows = h("div", { class: "rows" });
  const tallest = Math.max(...clusters.flatMap(({ pieces }) => pieces));
  const search = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter the patterns", oninput: () => set({ words: search.value.toLowerCase() }) });
  const order = h("select", { "aria-label": "Order", onchange: () => set({ order: order.value }) },
    Object.entries(ORDERS).map(([value, [name]]) => h("option", { value }, name)));
  const themes = h("div", { class: "chips", role: "group", "aria-label": "Themes" },
    result.themes.filter(({ name }) => name).slice(0, 12).map((theme) =>
      h("button", { type: "button", class: `chip ${theme.severity}`, "aria-pressed": "false", onclick: ({ currentTarget }) => choose(theme.name, currentTarget) },
        theme.label, h("small", {}, share(theme.share)))));

  function choose(name, chip) {
    const off = state.theme === name;
    for (const each of themes.children) each.setAttribute("aria-pressed", !off && each === chip);
    set({ theme: off ? null : name });
  }

  function set(change) {
    Object.assign(state, { shown: PAGE }, change);
    const wanted = clusters
      .filter(({ theme }) => state.theme === null || theme === state.theme)
      .filter((cluster) => [cluster.template, cluster.label, ...cluster.examples].some((text) => text.toLowerCase().includes(state.words)))
      .sort(ORDERS[state.order][1]);
    const rest = wanted.length - state.shown;
    rows.replaceChildren(
      ...wanted.slice(0, state.shown).map((cluster) => row(cluster, tallest)),
      wanted.length ? "" : h("p", { class: "empty" }, "No pattern matches the filter."),
      rest > 0 ? h("p", { class: "more" }, h("button", { type: "button", onclick: () => set({ shown: state.shown + PAGE }) }, `Show more (${count(rest)} left)`)) : "",
      result.other.clusters ? h("p", { class: "more quiet" }, `${plural(result.other.clusters, "smaller pattern")} with ${plural(result.other.count, "line")} not shown.`) : "");
  }

  set({});
  return h("div", { class: "patterns" },
    h("div", { class: "toolbar" }, themes, search, order),
    h("div", { class: "row head", "aria-hidden": "true" },
      h("span", {}, "Pattern"), h("span", {}, `Over ${result.over}`), h("span", { class: "number" }, "Lines"), h("span", { class: "number" }, "Share")),
    rows);
}

function row(cluster, tallest) {
  const details = h("details", { class: cluster.severity },
    h("summary", { class: "row" },
      h("span", { class: "what" },
        h("b", {}, cluster.label), h("span", { class: "severity" }, cluster.severity),
        template(cluster.template)),
      spark(cluster.pieces, tallest),
      h("span", { class: "number" }, count(cluster.count)),
      h("span", { class: "number", "--share": cluster.share }, share(cluster.share))));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(inside(cluster));
  });
  return details;
}

const template = (text) =>
  h("code", {}, text.split(/(<\*>)/).map((part) => (part === "<*>" ? h("i", {}, "<*>") : part)));

function inside(cluster) {
  const at = (index, time) => [time, `line ${count(index + 1)}`].filter(Boolean).join(", ");
  return h("div", { class: "inside" },
    h("dl", {},
      h("dt", {}, "First"), h("dd", {}, at(cluster.first_index, cluster.first_time)),
      h("dt", {}, "Last"), h("dd", {}, at(cluster.last_index, cluster.last_time)),
      cluster.records === cluster.count ? [] : [h("dt", {}, "Entries"), h("dd", {}, count(cluster.records))],
      h("dt", {}, "Theme"), h("dd", {}, cluster.theme || "none evident"),
      h("dt", {}, "Id"), h("dd", {}, h("code", {}, cluster.id))),
    h("div", { class: "examples" }, h("h3", {}, "Examples"), h("pre", {}, cluster.examples.join("\n"))));
}
