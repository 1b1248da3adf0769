"""How a text is cut before pairs of bytes are merged: llama.cpp knows some ways, by names."""

from typing import Any

from sensorium.core.errors import NotSupportedError

_NUMBERED = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3, QWEN2 = _NUMBERED % r"\p{N}{1,3}", _NUMBERED % r"\p{N}"
GPT2 = "bytes"
"""The expression of GPT-2, which the part that turns texts into bytes has itself."""
WAYS = {
    ((GPT2,), False): "gpt-2",
    (("digits", GPT2), False): "smollm",
    ((LLAMA3,), True): "llama-bpe",
    ((LLAMA3,), False): "smaug-bpe",
    ((QWEN2,), False): "qwen2",
}
"""By what cuts, in order, and whether a piece that is a token is taken without merging."""
COMPOSED = "qwen2"
"""The one of which llama.cpp's users are used to that it composes no characters (NFC)."""


def named(cutting: Any, normalising: Any, *, ignores_merges: bool) -> str:
    """What llama.cpp calls a way of cutting.

    Args:
        cutting: The `pre_tokenizer` of a `tokenizer.json`.
        normalising: Its `normalizer`.
        ignores_merges: Its model's `ignore_merges`.

    Raises:
        NotSupportedError: it has no name there.
    """
    name = WAYS.get((tuple(_steps(cutting)), ignores_merges))
    if name is None:
        raise NotSupportedError(
            "its tokenizer cuts texts in a way that is not known here; known are those of "
            "GPT-2, SmolLM, Llama 3 and Qwen 2"
        )
    composes = isinstance(normalising, dict) and normalising.get("type") == "NFC"
    if normalising and not (composes and name == COMPOSED):
        raise NotSupportedError("its tokenizer changes texts before it cuts them")
    return name


def _steps(cutting: Any) -> list[str]:
    """What cuts, in order; `?` for what is not known."""
    if not isinstance(cutting, dict):
        return ["?"]
    kind = cutting.get("type")
    if kind == "Sequence":
        parts = cutting.get("pretokenizers")
        return [step for part in parts for step in _steps(part)] if isinstance(parts, list) else []
    if kind == "Digits" and cutting.get("individual_digits") is True:
        return ["digits"]
    if kind == "ByteLevel" and cutting.get("add_prefix_space") is False:
        return [GPT2] if cutting.get("use_regex", True) else []
    whole = cutting.get("behavior") == "Isolated" and not cutting.get("invert")
    pattern = cutting.get("pattern")
    if kind == "Split" and whole and isinstance(pattern, dict):
        return [str(pattern.get("Regex"))]
    return ["?"]
