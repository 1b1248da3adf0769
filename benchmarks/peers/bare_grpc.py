"""A bare grpc.aio server: a method that writes a message back, and one that writes many."""

import asyncio
import sys
from collections.abc import AsyncIterator

import grpc
from google.protobuf.wrappers_pb2 import Int64Value, StringValue


async def echo(request: StringValue, context: object) -> StringValue:
    """The text back."""
    return StringValue(value=request.value)


async def count(request: Int64Value, context: object) -> AsyncIterator[Int64Value]:
    """So many numbers."""
    for number in range(request.value):
        yield Int64Value(value=number)


async def main(port: str) -> None:
    """Serve until the process is ended."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        echo, StringValue.FromString, StringValue.SerializeToString
    )
    stream = grpc.unary_stream_rpc_method_handler(
        count, Int64Value.FromString, Int64Value.SerializeToString
    )
    methods = {"Echo": handler, "Count": stream}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Echo", methods),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
