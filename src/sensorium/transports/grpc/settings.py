"""What can be set of the gRPC door; its address and certificate are HTTP's."""

from typing import Annotated

from msgspec import Meta, Struct


class GrpcSettings(Struct, frozen=True, kw_only=True):
    """The gRPC door."""

    grpc_port: Annotated[
        int, Meta(ge=0, le=65535, description="The port of gRPC; 0 takes a free one.")
    ] = 50051
    grpc_client_ca: Annotated[
        str,
        Meta(description="A PEM file; only clients with a certificate of its are let in."),
    ] = ""
    grpc_max_message_bytes: Annotated[
        int, Meta(ge=1024, le=2**31 - 1, description="The largest message that is taken.")
    ] = 16 << 20
    grpc_max_calls: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Calls at once; more are refused.")
    ] = 512
