// Figures as people read them.

const whole = new Intl.NumberFormat("en");
const precise = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

export const count = (n) => whole.format(n);
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const figure = (x) => (x === null || x === undefined ? "–" : precise.format(x));

export function share(part) {
  const percent = part * 100;
  return `${percent >= 10 || percent === 0 ? Math.round(percent) : percent >= 0.1 ? percent.toFixed(1) : "<0.1"} %`;
}

export function bytes(n) {
  if (n < 1024) return `${n} B`;
  const power = Math.min(3, Math.floor(Math.log2(n) / 10));
  return `${(n / 1024 ** power).toFixed(n / 1024 ** power < 10 ? 1 : 0)} ${"KMG"[power - 1]}iB`;
}

export function duration(seconds) {
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${figure(Number((seconds * 1000).toPrecision(3)))} ms`;
  if (seconds < 90) return `${figure(Number(seconds.toPrecision(3)))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}

export function moment(seconds, parts = "date time") {
  const at = new Date(seconds * 1000);
  const two = (n) => String(n).padStart(2, "0");
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return parts
    .replace("date", date)
    .replace("day", `${at.getDate()} ${at.toLocaleString("en", { month: "short" })}`)
    .replace("time", `${time}:${two(at.getSeconds())}`)
    .replace("clock", time);
}

export const sentence = (words) => words[0].toUpperCase() + words.slice(1) + (/[.?!]$/.test(words) ? "" : ".");
