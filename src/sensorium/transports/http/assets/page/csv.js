// Columns of numbers over time, from CSV text. Wide (a column per series) or long (a name per row).

const TIME_NAMES = /^(time|timestamp|datetime|date|ts|_time|epoch)$/i;

function split(line, comma) {
  if (!line.includes('"')) return line.split(comma);
  const cells = [];
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^${comma}]*))(${comma}|$)`, "y");
  for (let match = cell.exec(line); match; match = cell.exec(line)) {
    cells.push(match[1] === undefined ? match[2] : match[1].replaceAll('""', '"'));
    if (!match[3]) break;
  }
  return cells;
}

const isNumber = (text) => text.trim() !== "" && Number.isFinite(Number(text));

/** Epoch seconds of a cell; NaN where it is no time. A time without a zone is local. */
function seconds(text) {
  const trimmed = text.trim();
  if (isNumber(trimmed)) {
    const n = Number(trimmed);
    return Math.abs(n) > 1e14 ? n / 1e6 : Math.abs(n) > 1e11 ? n / 1e3 : n;
  }
  return Date.parse(trimmed.replace(/^(\d{4}-\d\d-\d\d) /, "$1T")) / 1000;
}

function header(rows) {
  const [first, second = []] = rows;
  const named = first.some((cell, i) => cell.trim() && !isNumber(cell) && isNumber(second[i] ?? ""));
  return named ? rows.shift().map((cell) => cell.trim()) : first.map((_, i) => (i ? `column ${i + 1}` : ""));
}

function timeColumn(names, rows) {
  const byName = names.findIndex((name) => TIME_NAMES.test(name));
  if (byName >= 0) return byName;
  const cells = rows.slice(0, 50).map((row) => row[0] ?? "");
  const like = (cell) => (isNumber(cell) ? Number(cell) > 1e8 : Number.isFinite(seconds(cell)));
  return cells.every(like) && names.length > 1 ? 0 : -1;
}

/** [{name, timestamps | null, values}] */
export function parse(text) {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/).filter((line) => line.trim() && line[0] !== "#");
  if (!lines.length) throw new Error("The file holds no lines.");
  const comma = [",", ";", "\t"].reduce((a, b) => (lines[0].split(b).length > lines[0].split(a).length ? b : a));
  const rows = lines.map((line) => split(line, comma));
  const names = header(rows);
  const time = timeColumn(names, rows);
  const others = names.map((_, i) => i).filter((i) => i !== time);
  const numeric = others.filter((i) => rows.some((row) => isNumber(row[i] ?? "")));
  const worded = others.filter((i) => !numeric.includes(i));
  if (!numeric.length) {
    throw new Error("No column of numbers was found. A first line such as timestamp,value helps.");
  }
  const dated = time < 0 ? rows : rows.filter((row) => Number.isFinite(seconds(row[time] ?? "")));
  const series = new Map();
  for (const row of dated) {
    for (const i of numeric) {
      const name = [...worded.map((w) => row[w]), numeric.length > 1 || !worded.length ? names[i] : ""]
        .filter(Boolean).join(" ") || "value";
      if (!series.has(name)) series.set(name, { name, timestamps: time < 0 ? null : [], values: [] });
      const one = series.get(name);
      one.timestamps?.push(seconds(row[time]));
      one.values.push(isNumber(row[i] ?? "") ? Number(row[i]) : null);
    }
  }
  return [...series.values()];
}
