// Where input comes in: a file, pasted text or the sample; and how far its work has come.

import { Problem } from "./api.js";
import { h } from "./dom.js";
import { bytes, sentence } from "./figures.js";
import { withKey } from "./key.js";

const PASTED_AT_ONCE = 200_000;

/**
 * `words`: {title, lead, hint, placeholder, action, file, again}; `options`: form controls beside
 * the button; `job()`: what the worker is told; `sample()`: text; `done(result, seconds, source)`.
 */
export function intake(section, { words, options, job, sample, done }) {
  let source = null;
  let worker = null;
  const text = h("textarea", { rows: 7, spellcheck: "false", placeholder: words.placeholder, "aria-label": words.hint });
  const chooser = h("input", { type: "file", hidden: true, onchange: () => chooser.files[0] && take(chooser.files[0], chooser.files[0].name) });
  const form = h("div", { class: "intake" },
    h("h1", {}, words.title),
    h("p", { class: "lead" }, words.lead),
    h("div", { class: "well" }, text,
      h("p", { class: "hint" }, `${words.hint}, `,
        h("button", { type: "button", class: "link", onclick: () => chooser.click() }, words.file), " or ",
        h("button", { type: "button", class: "link sample", onclick: () => take(new Blob([sample()]), "sample") }, "try the sample"), ".", chooser)),
    h("p", { class: "actions" }, ...options,
      h("button", { type: "button", class: "primary", onclick: takeText }, words.action)));
  const bar = h("progress", { max: 1, "aria-label": "Upload" });
  const stage = h("span", {});
  const progress = h("p", { class: "working", hidden: true, role: "status" }, bar, stage,
    h("button", { type: "button", class: "plain", onclick: stop }, "Cancel"));
  const failure = h("div", { class: "failure", hidden: true, role: "alert" });
  const results = h("div", { class: "results" });
  section.append(form, progress, failure, results);

  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) takeText();
  });
  text.addEventListener("paste", (event) => {
    const pasted = event.clipboardData.getData("text/plain");
    if (pasted.length < PASTED_AT_ONCE) return;
    event.preventDefault(); // a text field that long would freeze the tab
    take(new Blob([pasted]), "pasted text");
  });

  function takeText() {
    if (text.value.trim()) take(new Blob([text.value]), "pasted text");
    else text.focus();
  }

  function take(blob, name) {
    source = { blob, name };
    chooser.value = "";
    run();
  }

  function reset() {
    results.replaceChildren();
    form.hidden = false;
    text.focus();
  }

  function stop() {
    worker?.terminate();
    worker = null;
    progress.hidden = true;
  }

  async function run() {
    stop();
    failure.hidden = true;
    progress.hidden = false;
    bar.removeAttribute("value");
    stage.textContent = `Sending ${source.name}`;
    try {
      const { result, seconds } = await withKey((key) => work({ ...job(), body: source.blob, name: source.name, key }));
      form.hidden = true;
      results.replaceChildren(...done(result, seconds, source));
    } catch (problem) {
      explain(problem);
    }
    stop();
  }

  function work(message) {
    stop();
    progress.hidden = false;
    worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => {
        if (data.sent !== undefined) uploaded(data.sent, data.total);
        else if (data.problem) reject(new Problem(data.problem.status, data.problem));
        else resolve(data);
      };
      worker.onerror = () => reject(new Error("this browser could not start the page's worker"));
      worker.postMessage(message);
    });
  }

  function uploaded(sent, total) {
    if (sent < total) bar.value = sent / total;
    else bar.removeAttribute("value");
    stage.textContent = sent < total ? `Sending: ${bytes(sent)} of ${bytes(total)}` : "Computing";
  }

  function explain(problem) {
    const about = [problem.code?.replaceAll("_", " "), problem.at && `at ${problem.at}`, problem.requestId && `request ${problem.requestId}`];
    failure.replaceChildren(h("b", {}, sentence(problem.message)), h("span", { class: "quiet" }, about.filter(Boolean).join(" · ")));
    failure.hidden = false;
  }

  const title = () => h("div", { class: "source" },
    h("b", {}, source.name), h("span", { class: "quiet" }, bytes(source.blob.size)),
    h("button", { type: "button", class: "plain", onclick: reset }, words.again));

  return { take, title, again: () => source && run() };
}
