"""What is asked of `/v1/responses`.

Fields that change nothing here (`user`, `reasoning`, `service_tier`) are passed over. So is
`truncation`: nothing is cut, and the answer says so.
"""

from typing import Any

from msgspec import Struct

from sensorium.transports.http.compat.openai import sampling
from sensorium.transports.http.compat.openai.choosing import ToolChoice, allowed, chosen
from sensorium.transports.http.compat.openai.responses.items import Item, Message
from sensorium.transports.http.compat.openai.sampling import (
    Format,
    Likeliest,
    Sampled,
    held_to,
    refuse,
)
from sensorium.transports.http.compat.spoken import MAX_TOKENS
from sensorium.transports.http.compat.tools import FunctionTool, tool

REFUSED = ("background", "conversation", "prompt")
LOGPROBS = "message.output_text.logprobs"
NAMES = {
    **sampling.NAMES,
    "max_tokens": "max_output_tokens",
    "json_schema": "text.format",
    "messages": "input",
}
"""What the fields of ours are called here."""


class Tool(FunctionTool, kw_only=True):
    """A tool; one that is no function may have no name."""

    type: str
    name: str = ""


class Text(Struct):
    """How the text is to be."""

    format: Format | None = None


class CreateResponse(Sampled, kw_only=True):
    """The body."""

    input: str | list[Item] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    max_output_tokens: int | None = None
    top_logprobs: Likeliest | None = None
    include: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice = None
    parallel_tool_calls: bool | None = None
    text: Text | None = None
    metadata: dict[str, str] | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None

    @property
    def items(self) -> list[Item]:
        """What is said, as items."""
        if isinstance(self.input, str):
            return [Item(role="user", content=self.input)]
        return self.input or []

    @property
    def functions(self) -> list[FunctionTool]:
        """The tools that models here can call: agents name others beside these, for all cases."""
        return [each for each in self.tools or [] if each.type == "function"]

    def counted(self, messages: list[Message]) -> dict[str, Any]:
        """The fields of the request of `text.count`; errors as for `fields`."""
        refuse(self, REFUSED)
        instructions = {"role": "system", "content": self.instructions}
        return {
            "model": self.model,
            "messages": [instructions, *messages] if self.instructions else messages,
            "tools": [tool(each) for each in allowed(self.tool_choice, self.functions)],
        }

    def fields(self, messages: list[Message]) -> dict[str, Any]:
        """The fields of the request of `chat.complete` and `chat.stream`.

        Raises:
            InvalidInputError: it does not fit together.
            NotSupportedError: it asks for what there is not.
        """
        asked = {
            **self.sampling(self.max_output_tokens, MAX_TOKENS),
            **self.counted(messages),
            "tool_choice": chosen(self.tool_choice),
            "parallel_tools": self.parallel_tool_calls is not False,
            "json_schema": held_to(self.text.format if self.text else None, "text.format"),
        }
        if self.top_logprobs or LOGPROBS in (self.include or []):
            asked["logprobs"] = max(1, self.top_logprobs or 0)
        return asked
