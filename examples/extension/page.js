import { Sensorium } from "./native.js";

const part = (id) => document.getElementById(id);
const sensorium = new Sensorium();
globalThis.sensorium = sensorium;

part("cluster").addEventListener("click", async () => {
  part("said").textContent = "…";
  try {
    const lines = part("lines").value.split("\n").filter(Boolean);
    const { clusters } = await sensorium.call("logs.cluster", { lines });
    part("said").textContent = `${clusters.length} patterns in ${lines.length} lines`;
    part("clusters").replaceChildren(...clusters.map(row));
  } catch (error) {
    part("said").textContent = error.message;
  }
});

function row({ count, label, template }) {
  const line = document.createElement("tr");
  for (const text of [count, label, template]) {
    line.insertCell().textContent = text;
  }
  return line;
}
