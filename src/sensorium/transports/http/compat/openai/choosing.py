"""Which tools may be called, as OpenAI's interfaces say it."""

from typing import Literal

from msgspec import Struct

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.transports.http.compat.tools import FunctionTool


class Choice(Struct, omit_defaults=True):
    """A function, or several; conversations have either in an object of its own."""

    type: str = ""
    name: str = ""
    mode: Literal["auto", "required"] | None = None
    tools: "list[Choice]" = []
    function: "Choice | None" = None
    allowed_tools: "Choice | None" = None

    @property
    def inner(self) -> "Choice":
        """What is chosen."""
        return self.function or self.allowed_tools or self


ToolChoice = Literal["none", "auto", "required"] | Choice | None


def allowed(given: ToolChoice, functions: list[FunctionTool]) -> list[FunctionTool]:
    """The functions that may be called."""
    if not isinstance(given, Choice) or given.type != "allowed_tools":
        return [] if given == "none" else functions
    names = {each.inner.name for each in given.inner.tools}
    return [each for each in functions if each.name in names]


def chosen(given: ToolChoice) -> str:
    """The same as `core.generation.ToolChoice`.

    Raises:
        InvalidInputError: it names no function.
        NotSupportedError: it names another kind of tool.
    """
    if not isinstance(given, Choice):
        return given or "auto"
    if given.type == "allowed_tools":
        return given.inner.mode or "auto"
    if given.type not in ("", "function"):
        raise NotSupportedError("the tools here are functions", details={"at": "tool_choice"})
    if not given.inner.name:
        raise InvalidInputError("it names no function", details={"at": "tool_choice"})
    return given.inner.name
