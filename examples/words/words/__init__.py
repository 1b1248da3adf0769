"""Operations on words."""

from typing import Annotated

from msgspec import Meta, Struct

from sensorium.core.operation import Execution, WorkContext, operation


class Said(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something said."""

    text: Annotated[str, Meta(max_length=10_000, description="The words.")]


@operation("words.shout", execution=Execution.INLINE, example=Said(text="hello"))
def shout(request: Said, context: WorkContext) -> Said:
    """The words, louder."""
    return Said(text=request.text.upper() + "!")
