"""What is counted of the texts that language models make, for `/metrics`."""

from collections import Counter, defaultdict

from sensorium.core.generation import Piece
from sensorium.core.telemetry import Durations, Reading


class TextCounts:
    """Tokens, and how long the first of them took, by model."""

    def __init__(self) -> None:
        self._read: Counter[str] = Counter()
        self._known: Counter[str] = Counter()
        self._made: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._first: dict[str, Durations] = {}

    def began(self, model: str, seconds: float) -> None:
        """Count a text whose first piece came so long after it was asked for."""
        self._first.setdefault(model, Durations()).add(seconds)

    def ended(self, model: str, last: Piece) -> None:
        """Count what a text took, as its last piece tells."""
        self._read[model] += last.prompt_tokens
        self._known[model] += last.cached_tokens
        self._made[model] += last.generated_tokens
        self._seconds[model] += last.seconds

    def readings(self) -> list[Reading]:
        """The figures, read when somebody scrapes."""
        return [
            Reading(
                "sensorium_text_prompt_tokens",
                "Tokens of prompts.",
                "counter",
                lambda: self._read,
            ),
            Reading(
                "sensorium_text_cached_tokens",
                "Of those, tokens that were known from an earlier prompt.",
                "counter",
                lambda: self._known,
            ),
            Reading(
                "sensorium_text_generated_tokens",
                "Tokens that were made.",
                "counter",
                lambda: self._made,
            ),
            Reading(
                "sensorium_text_generating_seconds",
                "How long it took to make them, where the engine tells.",
                "counter",
                lambda: self._seconds,
            ),
            Reading(
                "sensorium_text_first_token_seconds",
                "How long the first token of a text took, from the request on.",
                "histogram",
                lambda: self._first,
            ),
        ]
