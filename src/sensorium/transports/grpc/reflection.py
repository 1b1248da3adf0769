"""Server reflection: what there is, for clients that have no `.proto` files."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection

from sensorium.core.errors import UnavailableError
from sensorium.core.operation import Operation
from sensorium.core.protobuf.codec import codec_of
from sensorium.core.protobuf.schema import PACKAGE, service_name
from sensorium.core.registry import Registry
from sensorium.transports.grpc.compat.messages import PACKAGE as INFERENCE
from sensorium.transports.grpc.compat.messages import service_file

log = logging.getLogger("sensorium.grpc")
OWN = "grpc.reflection.v1alpha.ServerReflection"


class Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    """Reflects the operations; describes them when first asked, and anew for a new plugin."""

    def __init__(self, registry: Registry) -> None:
        super().__init__((OWN,))
        self._registry = registry
        self._known: frozenset[str] | None = None
        self._current: Any = None

    async def ServerReflectionInfo(  # noqa: N802 - grpcio's name
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Any]:
        """Answer what a client asks."""
        if self._known != self._registry.nouns:
            known = self._registry.nouns
            self._current = await asyncio.to_thread(_describe, self._registry)
            self._known = known
        async for answer in self._current.ServerReflectionInfo(requests, context):
            yield answer


def _describe(registry: Registry) -> Any:
    pool = DescriptorPool()
    pool.Add(service_file())
    names = [OWN, f"{INFERENCE}.GRPCInferenceService"]
    described: set[str] = set()
    nouns: dict[str, Operation] = {each.name.partition(".")[0]: each for each in registry}
    for noun, operation in nouns.items():
        try:
            files = codec_of(operation).files
        except UnavailableError as error:
            log.warning("%s has no gRPC: %s", noun, error.message)
            continue
        for file in files:
            if file.name not in described:
                pool.Add(file)
                described.add(file.name)
        names.append(f"{PACKAGE}.{service_name(noun)}")
    return reflection.aio.ReflectionServicer(tuple(names), pool)
