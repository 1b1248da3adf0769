// Input made up on the spot, the same every time.

function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const two = (n) => String(n).padStart(2, "0");

/** An hour of a small shop; a third of the way in, its database is gone for four minutes. */
export function sampleLog() {
  const next = random(7);
  const upTo = (n) => Math.floor(next() * n);
  const address = () => `10.0.${upTo(4)}.${upTo(250)}`;
  const usual = [
    () => `INFO web: GET /products/${upTo(900)} 200 in ${5 + upTo(40)} ms`,
    () => `INFO web: GET /products/${upTo(900)} 200 in ${5 + upTo(40)} ms`,
    () => `INFO web: POST /cart 201 in ${9 + upTo(60)} ms`,
    () => `INFO auth: Accepted password for user${upTo(80)} from ${address()} port ${1024 + upTo(60_000)}`,
    () => `DEBUG cache: evicted ${1 + upTo(50)} entries`,
    () => `INFO orders: order ${100_000 + upTo(900_000)} confirmed`,
  ];
  const rare = [
    () => `WARN auth: Failed password for admin from ${address()} port ${1024 + upTo(60_000)}`,
    () => `WARN disk: volume /data is ${85 + upTo(9)} % full`,
    () => `ERROR mail: delivery to user${upTo(80)} failed: connection reset by peer`,
  ];
  const outage = [
    () => `ERROR db: Query timed out after ${3000 + upTo(900)} ms`,
    () => `ERROR web: GET /products/${upTo(900)} 500 in ${3000 + upTo(900)} ms`,
    () => `CRITICAL db: connection pool exhausted, ${20 + upTo(30)} callers wait`,
  ];
  const pick = (list) => list[upTo(list.length)]();
  const lines = [];
  for (let second = 0; second < 3600; second += 1 + upTo(3)) {
    const failing = second > 1200 && second < 1440;
    const told = failing ? [pick(outage), pick(outage), pick(usual)] : [pick(next() < 0.04 ? rare : usual)];
    for (const line of told) lines.push(`2026-05-01 14:${two(Math.floor(second / 60))}:${two(second % 60)} ${line}`);
  }
  return lines.join("\n");
}

/** Five days of two metrics every ten minutes: a latency with a spike and a dip, a disk that fills. */
export function sampleMetrics() {
  const next = random(2);
  const noise = () => next() + next() + next() - 1.5;
  const start = Math.floor(Date.now() / 86_400_000) * 86_400 - 5 * 86_400;
  const rows = ["timestamp,latency_ms,disk_used_percent"];
  for (let i = 0; i < 720; i += 1) {
    const odd = i === 320 ? 58 : i >= 460 && i < 464 ? -21 : 0;
    const latency = 42 + 8 * Math.sin((2 * Math.PI * i) / 144) + 2.2 * noise() + odd;
    rows.push(`${start + i * 600},${latency.toFixed(1)},${(52 + i * 0.045 + 0.2 * noise()).toFixed(2)}`);
  }
  return rows.join("\n");
}
