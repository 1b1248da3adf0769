// The frame: which view is shown, light or dark, and files dropped anywhere.

import { activity } from "./activity.js";
import { call } from "./api.js";
import { chat } from "./chat.js";
import { logs } from "./logs.js";
import { metrics } from "./metrics.js";

const views = { logs: logs(section("logs")), metrics: metrics(section("metrics")), chat: chat(section("chat")), activity: activity(section("activity")) };
const names = Object.keys(views);
const tab = (name) => document.getElementById(`tab-${name}`);
let shown = "";

function section(name) {
  return document.getElementById(name);
}

function show(name) {
  if (name === shown) return;
  shown = name;
  for (const each of names) {
    const here = each === name;
    section(each).hidden = !here;
    tab(each).setAttribute("aria-selected", here);
    tab(each).tabIndex = here ? 0 : -1;
  }
  for (const each of names) views[each].visible?.(each === name);
}

function showHash() {
  const wanted = location.hash.slice(1);
  show(names.includes(wanted) ? wanted : "logs");
}

for (const name of names) {
  tab(name).addEventListener("click", () => { location.hash = name; });
  tab(name).addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    location.hash = names[(names.indexOf(name) + step + names.length) % names.length];
    tab(location.hash.slice(1)).focus();
  });
}
addEventListener("hashchange", showHash);
showHash();

const theme = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; theme.title = `Switch to ${theme.textContent.toLowerCase()} colours`; };
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  localStorage.setItem("sensorium.theme", document.documentElement.dataset.theme);
  nameTheme();
});
system.addEventListener("change", nameTheme);
nameTheme();

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("dropping");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const [file] = event.dataTransfer.files;
  if (!file) return;
  const isTable = /\.(csv|tsv)$/i.test(file.name);
  const isLog = /\.(log|txt|gz|zst|ndjson|jsonl)$/i.test(file.name);
  location.hash = isTable || (!isLog && shown === "metrics") ? "metrics" : "logs";
  showHash();
  views[shown].take(file, file.name);
});

call("v1/health").then(({ version }) => {
  document.getElementById("version").textContent = version;
}, () => {});
