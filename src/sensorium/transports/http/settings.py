"""What can be set about the HTTP door."""

from typing import Annotated

from msgspec import Meta, Struct

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class HttpSettings(Struct, frozen=True, kw_only=True):
    """The HTTP door."""

    host: Annotated[str, Meta(description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="The port; 0 takes a free one.")] = 8484
    allowed_hosts: Annotated[
        list[str],
        Meta(
            description="Names that a request may be sent to; default: the loopback names on a "
            "loopback address, any on another."
        ),
    ] = []
    cors_origins: Annotated[
        list[str], Meta(description="Web origins whose pages may call; * for any.")
    ] = []
    tls_certificate: Annotated[str, Meta(description="A PEM file; serves https.")] = ""
    tls_key: Annotated[str, Meta(description="The certificate's key, a PEM file.")] = ""
    static_dir: Annotated[str, Meta(description="A folder to serve under /static/.")] = ""
    request_timeout_s: Annotated[
        float, Meta(gt=0, le=3600, description="The longest wait for a request's next bytes.")
    ] = 30.0
    drain_s: Annotated[
        float, Meta(ge=0, le=3600, description="How long a stopping server lets calls finish.")
    ] = 20.0
    max_connections: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Connections at once; more are refused.")
    ] = 2000

    @property
    def local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in LOOPBACK or self.host.startswith("127.")

    @property
    def host_names(self) -> frozenset[str]:
        """The names that a request may be sent to; empty for any."""
        if "*" in self.allowed_hosts:
            return frozenset()
        if self.allowed_hosts:
            return frozenset(name.lower() for name in self.allowed_hosts)
        return frozenset({*LOOPBACK, self.host}) if self.local else frozenset()
