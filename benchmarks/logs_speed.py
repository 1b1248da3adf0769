"""Speed and memory of `logs.cluster`, beside drain3 with its defaults on the same lines.

Large inputs are made from the real LogHub-2k lines: a line is drawn, and in each place that its
event template marks as varying, words are replaced by words of a made-up vocabulary of 20,000,
digits by digits, hexadecimal numbers by others. `uniform` draws words with equal chances, so that
names of hosts hardly ever repeat; `zipf` draws them as names occur in practice, the n-th most
frequent with weight 1/n. `5,000 templates` are made-up sentences with numbers, addresses, paths
and words in one to three places; `all different` lines share nothing. Headers stay as they are in
`raw`, with their digits replaced.
Each measurement runs in a process of its own, after a call that loads the libraries; the time is
that of the call, in process.
"""

import csv
import itertools
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.logs_accuracy import DATA, PEER, SYSTEMS, load
from benchmarks.report import Row, show
from sensorium.capabilities.logs.operations import cluster
from sensorium.capabilities.logs.schema import ClusterRequest
from sensorium.core.operation import Work

ROOT = Path(__file__).parent.parent
KINDS = ("uniform", "zipf", "raw zipf", "5,000 templates", "all different")
SIZES = (100_000, 1_000_000)
VOCABULARY = 20_000
TEMPLATES = 5_000
KEPT = frozenset(
    [
        "Jan",
        "Feb",
        "Mar",
        "Apr",
        "May",
        "Jun",
        "Jul",
        "Aug",
        "Sep",
        "Oct",
        "Nov",
        "Dec",
        "Mon",
        "Tue",
        "Wed",
        "Thu",
        "Fri",
        "Sat",
        "Sun",
        "sec",
        "bytes",
        "true",
        "false",
        "null",
    ]
)
_RUN = re.compile(r"[0-9A-Za-z]+")
_HEX = re.compile(r"(?=.*[0-9])[0-9a-f]{4,}")

Word = Callable[[], str]


def vocabulary(rng: random.Random, size: int) -> list[str]:
    """Made-up words that can be spoken."""
    syllables = [c + v for c, v in itertools.product("bcdfghjklmnprstvwz", "aeiou")]
    return [
        "".join(rng.choices(syllables, k=rng.randint(2, 4))) + rng.choice(["", "n", "r", "s"])
        for _ in range(size)
    ]


def drawer(rng: random.Random, words: list[str], *, zipf: bool) -> Word:
    """Draws words one at a time, in batches for speed."""
    weights = list(itertools.accumulate(1 / n for n in range(1, len(words) + 1)))

    def draw() -> itertools.chain[str]:
        batches = (
            rng.choices(words, cum_weights=weights if zipf else None, k=10_000)
            for _ in itertools.count()
        )
        return itertools.chain.from_iterable(batches)

    return draw().__next__


def vary(text: str, rng: random.Random, word: Word) -> str:
    """The text with every run of letters and digits replaced by another of its kind."""

    def other(match: re.Match[str]) -> str:
        run = match[0]
        if run.isdigit():
            return "".join(rng.choices("0123456789", k=len(run)))
        if _HEX.fullmatch(run):
            return "".join(rng.choices("0123456789abcdef", k=len(run)))
        return word() if run.isalpha() and len(run) > 2 and run not in KEPT else run

    return _RUN.sub(other, text)


def varied(n: int, *, zipf: bool, raw: bool) -> list[str]:
    """n lines like the real ones, with other values in the places that vary."""
    rng = random.Random(1)
    word = drawer(rng, vocabulary(rng, VOCABULARY), zipf=zipf)
    pool = []
    for system in SYSTEMS:
        contents, lines, _ = load(system)
        with (DATA / f"{system}_2k.log_structured.csv").open(encoding="utf-8", newline="") as file:
            templates = [row["EventTemplate"] for row in csv.DictReader(file)]
        for content, line, template in zip(contents, lines, templates, strict=True):
            fixed = template.split("<*>")
            match = re.fullmatch("(.*?)".join(map(re.escape, fixed)), content, re.DOTALL)
            if match is not None:
                header = line[: line.find(content)] if raw else ""
                pool.append((header, fixed, match.groups()))
    made = []
    for header, fixed, values in rng.choices(pool, k=n):
        parts = [re.sub(r"\d", lambda _: rng.choice("123456789"), header), fixed[0]]
        for value, after in zip(values, fixed[1:], strict=True):
            parts += (vary(value, rng, word), after)
        made.append("".join(parts))
    return made


def many_templates(n: int) -> list[str]:
    """n lines of 5,000 made-up templates."""
    rng = random.Random(2)
    words, names = vocabulary(rng, 3_000), vocabulary(rng, VOCABULARY)
    makers: list[Word] = [
        lambda: str(rng.randrange(10**6)),
        lambda: f"{rng.getrandbits(32):08x}",
        lambda: rng.choice(names),
        lambda: ".".join(str(rng.randrange(256)) for _ in range(4)),
        lambda: f"/{rng.choice(names)}/{rng.choice(names)}",
    ]
    templates: list[list[str | Word]] = []
    for _ in range(TEMPLATES):
        template: list[str | Word] = list(rng.choices(words, k=rng.randint(6, 14)))
        for place in rng.sample(range(1, len(template)), rng.randint(1, 3)):
            template[place] = rng.choice(makers)
        templates.append(template)
    return [
        " ".join(part if isinstance(part, str) else part() for part in rng.choice(templates))
        for _ in range(n)
    ]


def all_different(n: int) -> list[str]:
    """n lines of three to twelve made-up words, of which no two are alike."""
    rng = random.Random(3)
    words = vocabulary(rng, VOCABULARY)
    return [" ".join(rng.choices(words, k=rng.randint(3, 12))) for _ in range(n)]


def make(kind: str, n: int) -> list[str]:
    """n lines of one of `KINDS`."""
    if kind == "5,000 templates":
        return many_templates(n)
    if kind == "all different":
        return all_different(n)
    return varied(n, zipf="zipf" in kind, raw="raw" in kind)


def peak_mib() -> float:
    """The peak resident memory of this process; getrusage would count its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def run_once(kind: str, n: int) -> dict[str, float]:
    """One timed call on n lines, with the peak memory before and after it."""
    lines = make(kind, n)
    cluster(ClusterRequest(lines=lines[:2_000]), Work())
    before = peak_mib()
    started = time.perf_counter()
    answer = cluster(ClusterRequest(lines=lines), Work())
    seconds = time.perf_counter() - started
    found = len(answer.clusters) + answer.other.clusters
    return {"seconds": seconds, "before": before, "peak": peak_mib(), "clusters": found}


def in_process(kind: str, n: int) -> dict[str, float]:
    """`run_once` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.logs_speed", kind, str(n)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def peer(kind: str, n: int, budget_s: float) -> dict[str, float]:
    """drain3 on the same lines, stopped after `budget_s` (its rate falls as clusters grow)."""
    request = json.dumps({"lines": make(kind, n), "budget_s": budget_s})
    command = list(map(str, PEER))
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    return {
        "rate": answer["done"] / answer["seconds"],
        "done": answer["done"],
        "peak": answer["peak_mib"],
        "clusters": len(set(answer["clusters"])),
    }


def small() -> Row:
    """The median of 200 calls on 50 real lines."""
    lines = [line for system in SYSTEMS for line in load(system)[1][:7]][:50]
    request = ClusterRequest(lines=lines)
    times = []
    for _ in range(200):
        started = time.perf_counter()
        cluster(request, Work())
        times.append(1_000 * (time.perf_counter() - started))
    note = f"p99 {sorted(times)[-2]:.2f} ms; raw lines, all eight systems, themes and labels"
    return Row(
        "logs 50 lines, in process", median(times), "ms", "<= 3", median(times) <= 3, "", note
    )


def measure(sizes: tuple[int, ...] = SIZES, budget_s: float = 45.0) -> list[Row]:
    """Rates at each size; empty where the data is absent."""
    if not DATA.is_dir():
        return []
    rows = [small()]
    for kind in KINDS:
        rates = []
        for n in sizes:
            us, them = in_process(kind, n), peer(kind, n, budget_s)
            rates.append(n / us["seconds"])
            ratio = rates[-1] / them["rate"]
            cut = "" if them["done"] == n else f" (its first {them['done']:.0f} lines)"
            note = (
                f"{ratio:.1f}x; {us['clusters']:.0f} clusters, drain3 {them['clusters']:.0f}; peak "
                f"{us['peak']:.0f} MiB ({us['before']:.0f} before the call), "
                f"drain3 {them['peak']:.0f}"
            )
            rows.append(
                Row(
                    f"logs {kind}, {n:,} lines",
                    rates[-1],
                    "lines/s",
                    ">= 5x drain3",
                    ratio >= 5,
                    f"drain3 {them['rate']:.0f}{cut}",
                    note,
                )
            )
        held = rates[-1] / rates[0]
        rows.append(Row(f"logs {kind}, rate at 1 M / at 100 k", held, "", ">= 0.8", held >= 0.8))
    return rows


if __name__ == "__main__":
    if len(sys.argv) == 3:
        sys.stdout.write(json.dumps(run_once(sys.argv[1], int(sys.argv[2]))))
    else:
        show(measure())
