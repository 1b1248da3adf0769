// When each line of a log was written, so that patterns can be drawn over time.

const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";
const month = (name) => MONTHS.indexOf(name) / 3;
const FORMS = [
  [/(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d(?:[.,]\d+)?)/, (m) => Date.UTC(m[1], m[2] - 1, m[3], m[4], m[5]) / 1000 + fraction(m[6])],
  [/(\d\d?)[/ ]([A-Z][a-z]{2})[/ ](\d{4})[: ](\d\d):(\d\d):(\d\d(?:\.\d+)?)/, (m) => Date.UTC(m[3], month(m[2]), m[1], m[4], m[5]) / 1000 + fraction(m[6])],
  [/([A-Z][a-z]{2}) +(\d\d?) (\d\d):(\d\d):(\d\d(?:\.\d+)?)/, (m) => Date.UTC(1972, month(m[1]), m[2], m[3], m[4]) / 1000 + fraction(m[5])],
  [/"(?:ts|time|timestamp)": ?"?(\d{10}(?:\.\d+)?)\b/, (m) => Number(m[1])],
];
const HEAD = 160;
const TRIED = 200;

const fraction = (text) => Number(text.replace(",", "."));

async function* linesOf(blob, name) {
  let stream = blob.stream();
  if (name.endsWith(".gz")) stream = stream.pipeThrough(new DecompressionStream("gzip"));
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    yield lines;
  }
  if (rest) yield [rest];
}

/** The form that most of the first lines have; none where fewer than half have one. */
function formOf(lines) {
  const tried = lines.slice(0, TRIED);
  const hits = FORMS.map(([form]) => tried.filter((line) => form.test(line.slice(0, HEAD))).length);
  const most = Math.max(...hits);
  return most * 2 >= tried.length ? FORMS[hits.indexOf(most)] : null;
}

/** Seconds for each line, as written (no zone); a line without a time has that of the line before.
 *  null where lines carry no times, or the log cannot be read here. */
export async function lineTimes(blob, name) {
  if (name.endsWith(".zst")) return null;
  const times = [];
  let form = null;
  let last = NaN;
  for await (const lines of linesOf(blob, name)) {
    form ??= formOf(lines);
    if (!form) return null;
    for (const line of lines) {
      const match = form[0].exec(line.length > HEAD ? line.slice(0, HEAD) : line);
      const seconds = match ? form[1](match) : NaN;
      if (!Number.isNaN(seconds)) last = seconds;
      times.push(last);
    }
  }
  return times;
}

/** A time as written: without the year where the log gives none, with fractions where they matter. */
export function written(seconds, span) {
  const text = new Date(seconds * 1000).toISOString().replace("T", " ");
  const year = seconds < 86_400 * 1096 && seconds >= 86_400 * 730 ? 5 : 0;
  return text.slice(year, span < 30 ? 23 : 19);
}
