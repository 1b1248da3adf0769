// The API key: asked for when the server says 401, kept for as long as this tab lives.

import { Problem } from "./api.js";
import { sentence } from "./figures.js";

const STORED = "sensorium.key";
const dialog = document.getElementById("key");
const value = document.getElementById("key-value");
let asking = null;

function ask(reason) {
  asking ??= new Promise((resolve) => {
    document.getElementById("key-reason").textContent = reason;
    value.value = "";
    dialog.returnValue = "cancel";
    dialog.showModal();
    dialog.onclose = () => {
      asking = null;
      if (dialog.returnValue === "ok") sessionStorage.setItem(STORED, value.value.trim());
      resolve(dialog.returnValue === "ok");
    };
  });
  return asking;
}

/** Run something that needs a key, and again with another key for as long as it is refused. */
export async function withKey(run) {
  for (;;) {
    const key = sessionStorage.getItem(STORED);
    try {
      return await run(key);
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 401) throw problem;
      const replaced = key !== sessionStorage.getItem(STORED);
      if (!replaced && !(await ask(key ? sentence(problem.message) : ""))) throw problem;
    }
  }
}
