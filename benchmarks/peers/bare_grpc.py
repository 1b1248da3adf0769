"""A bare grpc.aio server: one method that reads a message and writes it back."""

import asyncio
import sys

import grpc
from google.protobuf.wrappers_pb2 import StringValue


async def echo(request: StringValue, context: object) -> StringValue:
    """The text back."""
    return StringValue(value=request.value)


async def main(port: str) -> None:
    """Serve until the process is ended."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        echo, StringValue.FromString, StringValue.SerializeToString
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("bare.Echo", {"Echo": handler}),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
