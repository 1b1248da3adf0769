"use strict";
// The viewer has no theme that follows the system: choose one before it draws.
addEventListener("DOMContentLoaded", () => {
  const chosen = localStorage.getItem("sensorium.theme");
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.querySelector("rapi-doc").setAttribute("theme", dark ? "dark" : "light");
});
