// A conversation with a language model. It is kept in this tab's memory alone.

import { call } from "./api.js";
import { h } from "./dom.js";
import { count, duration, figure, plural, sentence } from "./figures.js";
import { withKey } from "./key.js";
import { open } from "./stream.js";

const SPEAKING = ["gguf", "transformers", "remote"];
const OTHER_TASKS = /embed|feature|similarity|fill-mask|classification|ranking|speech|audio/;
const ONLY_DEFAULT = { models: [{ name: "default", format: SPEAKING[0] }], aliases: { default: "default" } };
const NEAR_THE_END = 80;

export function chat(section) {
  let said = [];
  let models = [];
  let stopping = null;
  const model = h("select", { "aria-label": "Model", onchange: introduce });
  const about = h("p", { class: "quiet note", role: "status" });
  const talk = h("div", { class: "talk", role: "log", "aria-label": "Conversation" });
  const system = h("textarea", { rows: 2, placeholder: "You answer in one sentence." });
  const temperature = h("input", { type: "number", min: 0, max: 5, step: "any", value: 0.8, placeholder: "as usual" });
  const maxTokens = h("input", { type: "number", min: 1, max: 1_000_000, step: 1, value: 1024, placeholder: "as usual" });
  const settings = h("details", { class: "settings" }, h("summary", {}, "Settings"),
    h("div", { class: "fields" },
      h("label", { class: "wide" }, "System prompt", h("div", { class: "well" }, system)),
      h("label", {}, "Temperature", temperature), h("label", {}, "Tokens at most", maxTokens)));
  const text = h("textarea", { rows: 2, placeholder: "Ask something", "aria-label": "What you say" });
  const send = h("button", { type: "submit", class: "primary" }, "Send");
  const stop = h("button", { type: "button", hidden: true, onclick: () => stopping?.abort() }, "Stop");
  const form = h("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); say(); } },
    h("div", { class: "well" }, text, h("p", { class: "hint" }, "Enter sends, Shift+Enter begins a new line.", send, stop)));
  section.append(
    h("h1", {}, "What would you like to know?"),
    h("p", { class: "lead" }, "A conversation with a language model on this server. It is forgotten when you close this tab."),
    h("div", { class: "toolbar" }, h("label", {}, "Model", model),
      h("button", { type: "button", class: "plain renew", onclick: renew }, "New conversation")),
    about, settings, talk, form);

  text.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stopping?.abort();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    say();
  });

  async function visible(now) {
    if (!now) return;
    try {
      const found = await withKey((key) => call("v1/models/list", { key }));
      show(found);
    } catch (problem) {
      if (problem.code === "forbidden") show(ONLY_DEFAULT); // a key may be for conversations alone
      else about.replaceChildren(failure(problem, () => visible(true)));
    }
  }

  function show({ models: all, aliases }) {
    models = all.filter(({ format, task }) => SPEAKING.includes(format) && !OTHER_TASKS.test(task ?? ""));
    const names = [...new Set(models.map(({ name }) => name))];
    const wanted = [model.value, aliases?.default].find((name) => names.includes(name));
    model.replaceChildren(...names.map((name) => h("option", { value: name, selected: name === wanted }, name)));
    send.disabled = !names.length;
    introduce();
  }

  function introduce() {
    const chosen = models.find(({ name }) => name === model.value);
    const pull = h("code", {}, "sensorium models pull hf://…");
    if (!chosen) about.replaceChildren("There is no language model here. To fetch one: ", pull);
    else if (chosen.source === "sensorium") about.replaceChildren(`${chosen.name} is a self-test model, no assistant: it shows that everything works. To fetch a real one: `, pull);
    else about.replaceChildren();
  }

  function renew() {
    stopping?.abort();
    said = [];
    talk.replaceChildren();
    text.focus();
  }

  function say() {
    const question = text.value.trim();
    if (stopping || send.disabled || !question) return text.focus();
    if (!temperature.reportValidity() || !maxTokens.reportValidity()) { settings.open = true; return; }
    text.value = "";
    const turn = h("article", { class: "turn user" }, h("h2", {}, "You"), h("p", { class: "said" }, question));
    talk.append(turn);
    answer(question);
  }

  async function answer(question) {
    const before = said;
    const shown = bubble(model.value);
    talk.append(shown.element);
    talk.setAttribute("aria-busy", "true");
    toggle(new AbortController());
    scroll(true);
    try {
      const messages = [...before, { role: "user", content: question }];
      if (system.value.trim()) messages.unshift({ role: "system", content: system.value.trim() });
      const request = { model: model.value, messages, ...given({ temperature, max_tokens: maxTokens }) };
      const { signal } = stopping;
      for await (const chunk of await withKey((key) => open("v1/chat/stream", request, { key, signal }))) {
        shown.add(chunk);
        scroll();
      }
      shown.end();
    } catch (problem) {
      if (problem.name !== "AbortError") {
        shown.element.replaceChildren(failure(problem, () => {
          if (stopping) return;
          shown.element.remove();
          answer(question);
        }));
        return;
      }
      shown.end("Stopped.");
    } finally {
      toggle(null);
      talk.removeAttribute("aria-busy");
      scroll();
    }
    if (said === before && shown.text()) said = [...before, { role: "user", content: question }, { role: "assistant", content: shown.text() }];
  }

  function toggle(controller) {
    stopping = controller;
    send.hidden = controller !== null;
    stop.hidden = controller === null;
  }

  function scroll(always = false) {
    const page = document.documentElement;
    if (always || page.scrollHeight - page.scrollTop - page.clientHeight < NEAR_THE_END) page.scrollTop = page.scrollHeight;
  }

  return { visible };
}

/** The figures that somebody left in their fields; an empty one is as usual. */
function given(fields) {
  const filled = Object.entries(fields).filter(([, { value }]) => value.trim());
  return Object.fromEntries(filled.map(([name, { value }]) => [name, Number(value)]));
}

/** An answer as it comes: its text, the model's thoughts, and what it took. */
function bubble(name) {
  const words = document.createTextNode("");
  const thoughts = document.createTextNode("");
  const thinking = h("details", { class: "thoughts", hidden: true }, h("summary", {}, "Thoughts"), h("p", {}, thoughts));
  const took = h("p", { class: "quiet took" }, "…");
  let told = null;
  let finish = "";

  function add(chunk) {
    words.appendData(chunk.text ?? "");
    thoughts.appendData(chunk.reasoning ?? "");
    thinking.hidden = !thoughts.length;
    finish = chunk.finish || finish;
    told = chunk.told ?? told;
  }

  function end(because = "") {
    const { usage, timing } = told ?? {};
    const facts = [
      because,
      finish === "length" && "Cut off: it reached the limit of tokens.",
      !words.length && !because && "It said nothing.",
      told && plural(usage.generated_tokens, "token"),
      told && usage.generated_tokens > 1 && `${figure(Number(timing.tokens_per_s.toPrecision(3)))} tokens/s`,
      told && `first token after ${duration(timing.first_token_s)}`,
      told && `${count(usage.prompt_tokens)} read`,
    ];
    took.replaceChildren(facts.filter(Boolean).join(" · "));
  }

  const element = h("article", { class: "turn assistant" }, h("h2", {}, name), thinking, h("p", { class: "said" }, words), took);
  return { element, add, end, text: () => words.data };
}

function failure(problem, again) {
  const where = [problem.code?.replaceAll("_", " "), problem.at && `at ${problem.at}`, problem.requestId && `request ${problem.requestId}`];
  return h("div", { class: "failure", role: "alert" }, h("b", {}, sentence(problem.message)),
    h("span", { class: "quiet" }, where.filter(Boolean).join(" · ")),
    h("span", {}, h("button", { type: "button", class: "plain", onclick: again }, "Try again")));
}
