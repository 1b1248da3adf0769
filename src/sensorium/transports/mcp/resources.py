"""Answers as resources: what a client reads of the server by an address, without calling a tool."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import unquote

import mcp_types as types
import msgspec
from mcp.shared.exceptions import MCPError

from sensorium.core.dispatch import Caller, Dispatcher, Encoded
from sensorium.core.errors import SensoriumError
from sensorium.core.operation import Operation

SCHEME = "sensorium://"
JSON = "application/json"
MakeCaller = Callable[[Any], Caller]
"""Who calls, by the SDK's request context."""
Shown = Callable[[], Iterable[Operation]]
_FIELD = re.compile(r"\\\{(\w+)\\\}")
"""A field in an escaped address."""


class Resources:
    """The requests that concern resources; `shown` are the operations that a client may see."""

    def __init__(self, dispatcher: Dispatcher, shown: Shown, caller_of: MakeCaller) -> None:
        self._dispatcher = dispatcher
        self._shown = shown
        self._caller_of = caller_of

    async def list(self, context: Any, params: Any) -> Any:
        """Those that have one address."""
        del params
        found = [each for each in self._covered(context) if "{" not in each.resource]
        return types.ListResourcesResult(
            resources=[
                types.Resource(
                    name=each.resource,
                    uri=SCHEME + each.resource,
                    description=each.summary,
                    mime_type=JSON,
                )
                for each in found
            ]
        )

    async def templates(self, context: Any, params: Any) -> Any:
        """Those whose address holds fields."""
        del params
        found = [each for each in self._covered(context) if "{" in each.resource]
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(
                    name=each.resource,
                    uri_template=SCHEME + each.resource,
                    description=each.summary,
                    mime_type=JSON,
                )
                for each in found
            ]
        )

    async def read(self, context: Any, params: Any) -> Any:
        """The answer of the operation that an address names.

        Raises:
            MCPError: there is none, or it failed.
        """
        uri = str(params.uri)
        try:
            for operation in self._covered(context):
                pattern = _FIELD.sub(r"(?P<\1>[^/]+)", re.escape(SCHEME + operation.resource))
                if found := re.fullmatch(pattern, uri):
                    return await self._answer(operation, found.groupdict(), uri, context)
            raise self._dispatcher.registry.nothing(f"there is no resource {uri[:80]!r}")
        except SensoriumError as error:
            body = msgspec.to_builtins(error.body())
            raise MCPError(types.INVALID_PARAMS, error.message, body) from None

    async def _answer(
        self, operation: Operation, fields: dict[str, str], uri: str, context: Any
    ) -> Any:
        body = msgspec.json.encode({name: unquote(text) for name, text in fields.items()})
        caller = self._caller_of(context)
        answer = await self._dispatcher.call(operation.name, Encoded(body, len(body)), caller)
        text = answer.json().decode()
        content = types.TextResourceContents(uri=uri, mime_type=JSON, text=text)
        return types.ReadResourceResult(contents=[content])

    def _covered(self, context: Any) -> Iterator[Operation]:
        """The operations with a resource that the caller's key covers."""
        principal = self._caller_of(context).principal
        for each in self._shown():
            if each.resource and principal.covers(each.name):
                yield each
