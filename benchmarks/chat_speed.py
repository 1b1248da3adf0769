"""Streams of a language model through the door for OpenAI's clients, beside its library alone.

The model is tinylm, which ships with the server: it makes a token in a third of a millisecond, so
that what stands between engine and wire shows as with no real model. The library (xllamacpp) runs
in a process of its own, with the same options and threads, and its streams go to a function that
only counts. Both are asked in turns for the same texts, of 200 tokens, new ones in each round.
The engines compute on one thread: with tensors as small as these two are no faster, and stand
still where another process has a core. Client, server and engine share the machine's cores.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import mean, median

from msgspec import json
from msgspec.structs import replace

from benchmarks.peer_environment import ROOT
from benchmarks.report import Row, show
from benchmarks.running import ours
from benchmarks.texts import Ask, Maker, Text, making

MODEL = ROOT / "src" / "sensorium" / "models" / "samples" / "tinylm" / "tinylm-q8_0.gguf"
ROUNDS, WIDE_ROUNDS, LEFT = 7, 3, 15
THREADS = 1
PLACES, MANY = 4, 32
ONE = Ask(texts=8)
FEW = Ask(streams=PLACES, texts=4)
ALL = Ask(streams=MANY, texts=2)
SHORT = Ask(texts=40, max_tokens=2)
LEAVING = Ask(streams=PLACES, leave=1)
JSON_TYPE = {"content-type": "application/json"}
Texts = list[Text]


@dataclass
class Pair:
    """The library and ours, and what each round gave of both."""

    raw: Maker
    mine: Maker
    found: dict[str, list[tuple[Texts, Texts]]] = field(default_factory=dict)
    _asked: int = 0

    def ask(self, what: str, ask: Ask) -> None:
        """Ask both for the same texts, for which neither has been asked before."""
        ask = replace(ask, first=self._asked)
        self._asked += ask.streams * ask.texts
        self.found.setdefault(what, []).append((self.raw.make(ask), self.mine.make(ask)))

    def of_both(self, what: str, figure: Callable[[Texts], float]) -> tuple[list[float], ...]:
        """A figure of each round: the library's, and ours."""
        raw, mine = zip(*self.found[what], strict=True)
        return [figure(each) for each in raw], [figure(each) for each in mine]


def measure() -> list[Row]:
    """Speed, the first token, leaving and fairness, in interleaved rounds."""
    with _pair(PLACES) as pair:
        for _ in range(2):
            pair.ask("warm", FEW)
        for _ in range(ROUNDS):
            pair.ask("one", ONE)
            pair.ask("few", FEW)
            pair.ask("short", SHORT)
        leaving = [pair.mine.make(LEAVING) for _ in range(LEFT)]
        for _ in range(WIDE_ROUNDS):
            pair.ask("waiting", ALL)
    with _pair(MANY) as wide:
        wide.ask("warm", ALL)
        for _ in range(WIDE_ROUNDS):
            wide.ask("many", ALL)
    return [*_speed(pair), *_first(pair), _left(leaving), _fair(wide), _in_turn(pair)]


@contextmanager
def _pair(parallel: int) -> Iterator[Pair]:
    with ExitStack() as stack:
        running = stack.enter_context(ours())
        options = {"parallel": parallel, "threads": THREADS}
        body = json.encode({"model": "tinylm", "options": options})
        running.first_answer_s("/v1/models/load", body, JSON_TYPE)
        engine = making("texts_raw", str(MODEL), str(parallel), str(THREADS))
        raw = stack.enter_context(engine)
        yield Pair(raw, stack.enter_context(making("texts_openai", str(running.port))))


def _speed(pair: Pair) -> list[Row]:
    raw_one, one = pair.of_both("one", _alone)
    raw_all, alone = pair.of_both("one", _together)
    raw_few, few = pair.of_both("few", _together)
    speed, gain = _ratio(one, raw_one), _ratio(few, alone)
    pieces = mean(each.pieces for _, texts in pair.found["one"] for each in texts)
    return [
        Row(
            "one stream",
            speed,
            "x the library",
            ">= 0.9x",
            speed >= 0.9,
            _said(raw_one, "tokens/s"),
            f"{_said(one, 'tokens/s')}; in {pieces:.0f} events a text",
        ),
        Row(
            f"{PLACES} streams, all tokens",
            gain,
            "x one stream",
            ">= 1.6x",
            gain >= 1.6,
            f"{_ratio(raw_few, raw_all):.2f}x; {_said(raw_few, 'tokens/s')}",
            f"{_said(few, 'tokens/s')}; {_ratio(few, raw_few):.2f}x the library",
        ),
    ]


def _first(pair: Pair) -> list[Row]:
    """Of all rounds together: one has too few texts for a 99th percentile."""
    both = zip(*pair.found["short"], strict=True)
    raw, mine = (sorted(text.waited_ms for texts in each for text in texts) for each in both)
    rows = []
    for share in (0.5, 0.99):
        at = int(share * len(raw))
        above = mine[at] - raw[at]
        what = f"time to first token above the library's, p{100 * share:.0f}"
        rows.append(
            Row(what, above, "ms", "<= 5 ms", above <= 5, f"{raw[at]:.1f} ms", f"{mine[at]:.1f} ms")
        )
    return rows


def _left(leaving: list[Texts]) -> Row:
    """Whoever waited begins before any other text is over, so that it has the leaver's place."""
    took = []
    for texts in leaving:
        waiting = max(texts, key=lambda each: each.asked)
        others = [each.last for each in texts if not each.left and each is not waiting]
        if waiting.first < min(others):
            took.append(1e3 * (waiting.first - max(each.left for each in texts)))
    longest = max(took)
    return Row(
        "a reader leaves, and the next text's first token is there",
        median(took),
        "ms",
        "<= 100 ms",
        longest <= 100,
        note=f"at most {longest:.1f} ms, the next text's prompt and first token among it; "
        f"{len(took)} of {len(leaving)} times no other place had become free before",
    )


def _fair(wide: Pair) -> Row:
    raw, mine = wide.of_both("many", _slowest)
    raw_all, all_ = wide.of_both("many", _together)
    share = median(mine)
    return Row(
        f"{MANY} streams in {MANY} places: the slowest",
        share,
        "x the mean rate",
        ">= 0.5x",
        share >= 0.5,
        f"{median(raw):.2f}x; {_said(raw_all, 'tokens/s')}",
        _said(all_, "tokens/s in all"),
    )


def _in_turn(pair: Pair) -> Row:
    raw, mine = pair.of_both("waiting", _slowest)
    raw_all, all_ = pair.of_both("waiting", _together)
    raw_last, last = pair.of_both("waiting", _longest_wait)
    return Row(
        f"{MANY} streams in {PLACES} places, as installed: the slowest",
        median(mine),
        "x the mean rate",
        peer=f"{median(raw):.2f}x; {_said(raw_all, 'tokens/s')}; the longest wait for a first "
        f"token {median(raw_last):.1f} s",
        note=f"{_said(all_, 'tokens/s in all')}; they wait in turn, at most "
        f"{median(last):.1f} s for a first token",
    )


def _alone(texts: Texts) -> float:
    """Tokens in a second of one text."""
    return median(each.per_s for each in texts)


def _together(texts: Texts) -> float:
    """Tokens in a second of all texts, their prompts' reading among it."""
    took = max(each.last for each in texts) - min(each.asked for each in texts)
    return sum(each.tokens for each in texts) / took


def _slowest(texts: Texts) -> float:
    """The slowest stream's rate from the first request on, in the mean of all streams' rates."""
    streams: dict[int, Texts] = {}
    for each in texts:
        streams.setdefault(each.stream, []).append(each)
    rates = [_together(each) for each in streams.values()]
    return min(rates) / mean(rates)


def _longest_wait(texts: Texts) -> float:
    return max(each.waited_ms for each in texts) / 1e3


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def _said(figures: list[float], unit: str) -> str:
    digits = 0 if median(figures) >= 100 else 1
    return (
        f"{median(figures):,.{digits}f} ({min(figures):,.{digits}f} to "
        f"{max(figures):,.{digits}f}) {unit}"
    )


if __name__ == "__main__":
    show(measure())
