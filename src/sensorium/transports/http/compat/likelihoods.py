"""How likely tokens were, in the forms in which clients read it."""

from typing import Any

from sensorium.core.generation import Likely, Step


def of_chat(steps: list[Step], top: int) -> dict[str, Any] | None:
    """As of `chat.completion`, with the `top` likeliest of each token."""
    return {"content": listed(steps, top), "refusal": None} if steps else None


def listed(steps: list[Step], top: int) -> list[dict[str, Any]]:
    """Each token, with the `top` likeliest."""
    return [
        {**_likely(step.chosen), "top_logprobs": [_likely(each) for each in step.top[:top]]}
        for step in steps
    ]


def of_text(steps: list[Step], top: int, offset: int) -> dict[str, Any] | None:
    """As of `text_completion`; the first token begins at character `offset` of the text."""
    if not steps:
        return None
    offsets = []
    for step in steps:
        offsets.append(offset)
        offset += len(step.chosen.text)
    return {
        "tokens": [step.chosen.text for step in steps],
        "token_logprobs": [step.chosen.logprob for step in steps],
        "top_logprobs": [
            {each.text: each.logprob for each in (*step.top[:top], step.chosen)} for step in steps
        ],
        "text_offset": offsets,
    }


def mean(steps: list[Step]) -> float:
    """The mean likelihood of tokens, by which texts are compared."""
    return sum(step.chosen.logprob for step in steps) / len(steps) if steps else float("-inf")


def _likely(each: Likely) -> dict[str, Any]:
    return {"token": each.text, "logprob": each.logprob, "bytes": list(each.text.encode())}
