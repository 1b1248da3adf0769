"""Operations as tools: what an agent is told of them, and how its calls are made."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import mcp_types as types
import msgspec
from mcp.server.lowlevel import Server

from sensorium.core.dispatch import Dispatcher, Encoded
from sensorium.core.errors import SensoriumError
from sensorium.core.operation import Kind, Operation
from sensorium.core.schema import schema_of
from sensorium.core.version import VERSION
from sensorium.transports.mcp.resources import MakeCaller, Resources

OWN = ("models.files", "pipelines.", "resources.", "system.", "webrtc.")
"""What begins the names of operations that concern the server itself, or may call any other."""
INSTRUCTIONS = "Reads logs, watches metrics and forecasts them. Lines and values go as they are."


def tool_name(operation: Operation) -> str:
    """`logs.cluster` as `logs_cluster`."""
    return operation.name.replace(".", "_", 1)


def exposed(operations: Iterable[Operation], patterns: Sequence[str]) -> list[Operation]:
    """The operations that are tools: by the patterns, or where there are none, the safe ones.

    A tool answers once, so operations that stream are none.
    """
    unary = [each for each in operations if each.kind is Kind.UNARY]
    if patterns:
        return [each for each in unary if any(fnmatchcase(each.name, one) for one in patterns)]
    return [each for each in unary if not each.changes and not each.name.startswith(OWN)]


def make_server(dispatcher: Dispatcher, patterns: Sequence[str], caller_of: MakeCaller) -> Any:
    """The SDK's server over a dispatcher."""
    tools = _Tools(dispatcher, patterns, caller_of)
    resources = Resources(dispatcher, tools.shown, caller_of)
    return Server(
        "sensorium",
        version=VERSION,
        instructions=INSTRUCTIONS,
        on_list_tools=tools.list,
        on_call_tool=tools.call,
        on_list_resources=resources.list,
        on_list_resource_templates=resources.templates,
        on_read_resource=resources.read,
    )


class _Tools:
    """The two requests that concern tools."""

    def __init__(
        self, dispatcher: Dispatcher, patterns: Sequence[str], caller_of: MakeCaller
    ) -> None:
        self._dispatcher = dispatcher
        self._patterns = patterns
        self._caller_of = caller_of

    def shown(self) -> list[Operation]:
        """The operations that are tools now; those alone are resources, too."""
        return exposed(self._dispatcher.registry, self._patterns)

    async def list(self, context: Any, params: Any) -> Any:
        """Every tool that its key covers, with the schemas of what it takes and gives."""
        del params
        principal = self._caller_of(context).principal
        covered = [each for each in self.shown() if each.public or principal.covers(each.name)]
        return types.ListToolsResult(tools=[_tool(each) for each in covered])

    async def call(self, context: Any, params: Any) -> Any:
        """Call an operation; what goes wrong with it is the agent's to read."""
        try:
            caller = self._caller_of(context)
            known = {tool_name(each): each for each in self.shown()}
            operation = known.get(params.name)
            if operation is None:
                raise self._dispatcher.registry.nothing(f"there is no tool {params.name[:80]!r}")
            reports: set[asyncio.Task[None]] = set()
            caller.on_progress = _reporter(context, reports)
            body = json.dumps(params.arguments or {}).encode()
            answer = await self._dispatcher.call(operation.name, Encoded(body, len(body)), caller)
            await asyncio.gather(*reports, return_exceptions=True)  # what was done is told first
        except SensoriumError as error:
            return _failed(error)
        text = answer.json()
        return types.CallToolResult(
            content=[types.TextContent(text=text.decode())],
            structured_content=msgspec.json.decode(text),
        )


def _tool(operation: Operation) -> Any:
    return types.Tool(
        name=tool_name(operation),
        description=operation.summary,
        input_schema=_rooted(schema_of(operation.request)),
        output_schema=_rooted(schema_of(operation.response)),
        annotations=types.ToolAnnotations(read_only_hint=not operation.changes),
    )


def _rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its type at the root, where agents look for it, and not behind a reference."""
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    if not name:
        return schema
    return {**schema["$defs"][name], "$defs": schema["$defs"]}


def _failed(error: SensoriumError) -> Any:
    body = msgspec.to_builtins(error.body())
    body["details"] = {k: v for k, v in error.details.items() if k != "malformed"}
    text = f"{error.code}: {error.message}"
    if body["details"]:
        text += f" {json.dumps(body['details'])}"
    return types.CallToolResult(
        content=[types.TextContent(text=text)], structured_content={"error": body}, is_error=True
    )


def _reporter(
    context: Any, reports: set["asyncio.Task[None]"]
) -> Callable[[int, int | None, str], None]:
    def report(done: int, total: int | None, unit: str) -> None:
        task = asyncio.ensure_future(context.session.report_progress(done, total, unit or None))
        reports.add(task)
        task.add_done_callback(reports.discard)

    return report
