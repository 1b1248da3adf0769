"""What can be set of the MCP door."""

from typing import Annotated

from msgspec import Meta, Struct


class McpSettings(Struct, frozen=True, kw_only=True):
    """The MCP door."""

    mcp_operations: Annotated[
        list[str],
        Meta(
            description="The operations that are shown, by name or pattern (logs.*); default: "
            "those that change nothing and do not concern the server itself."
        ),
    ] = []
