"""Conversations for templates that want turns of a user and the model, and of nobody else."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from msgspec.structs import replace

from sensorium.core.conversation import Message, preceded

GAP = "\n\n"
ID_LENGTH = 9
"""Of a call's id, in letters and digits: Mistral's templates take no other."""


def other_forms(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """The same conversation with what one says at a stretch as one message; then as two speak.

    In the second, what the system says is a user's. Calls of tools and their results stay alone,
    with shorter ids.
    """
    messages = [_with_short_ids(each) for each in messages]
    yield _joined(messages)
    yield _joined([_as_user(each) for each in messages])


def _joined(messages: Sequence[Message]) -> list[Message]:
    found: list[Message] = []
    for each in messages:
        if found and _goes_on(found[-1], each):
            found[-1] = _together(found[-1], each)
        else:
            found.append(each)
    return found


def _goes_on(last: Message, each: Message) -> bool:
    alone = each.role == "tool" or last.tool_calls or each.tool_calls
    return last.role == each.role and not alone


def _together(first: Message, second: Message) -> Message:
    ends = len(first.content)
    own = [replace(image, at=min(image.at, ends)) for image in first.images]
    both = preceded(second, first.content + GAP if first.content else "")
    return replace(
        first,
        content=both.content,
        images=[*own, *both.images],
        reasoning=GAP.join(filter(None, (first.reasoning, second.reasoning))),
    )


def _with_short_ids(said: Message) -> Message:
    calls = [replace(each, id=_short(each.id)) for each in said.tool_calls]
    return replace(said, tool_calls=calls, tool_call_id=_short(said.tool_call_id))


def _short(id_: str) -> str:
    """An id as long as the templates want it, the same for the same one."""
    if not id_ or (len(id_) == ID_LENGTH and id_.isalnum()):
        return id_
    return sha256(id_.encode()).hexdigest()[:ID_LENGTH]


def _as_user(said: Message) -> Message:
    return replace(said, role="user") if said.role == "system" else said
