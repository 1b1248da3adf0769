"""MCP: operations as tools for an agent, over Streamable HTTP and over standard streams."""
