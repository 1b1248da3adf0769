"""A model of several parts that run alone: a file's signatures, the files of a bundle."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import TensorSpec
from sensorium.models.backends.base import Arrays, LoadedModel, ModelSpec
from sensorium.models.fitting import check_outputs

SEPARATOR = "/"


class PartedModel:
    """Parts under one spec: what a part calls `x` is `part/x` here.

    A run needs the inputs of those parts whose outputs are wanted, and runs no others. Where
    there are several parts, each input may thus be left out.
    """

    def __init__(self, platform: str, parts: Mapping[str, LoadedModel]) -> None:
        self._parts = dict(parts)
        specs = {name: part.spec for name, part in parts.items()}
        inputs = [_named(part, each) for part, spec in specs.items() for each in spec.inputs]
        first = next(iter(specs.values()))
        self.spec = ModelSpec(
            platform=platform,
            inputs=inputs,
            outputs=[_named(part, each) for part, spec in specs.items() for each in spec.outputs],
            optional=[each.name for each in inputs] if len(parts) > 1 else [],
            providers=first.providers,
            degraded=first.degraded,
        )

    def infer(self, inputs: Arrays, outputs: Sequence[str]) -> Mapping[str, Any]:
        """See `LoadedModel.infer`."""
        check_outputs(self.spec.outputs, outputs)
        found: dict[str, Any] = {}
        unused = set(inputs)
        for name, part in self._parts.items():
            prefix = name + SEPARATOR
            wanted = [each.removeprefix(prefix) for each in outputs if each.startswith(prefix)]
            if not wanted:
                continue
            own = {k.removeprefix(prefix): v for k, v in inputs.items() if k.startswith(prefix)}
            unused -= {prefix + each for each in own}
            try:
                made = part.infer(own, wanted)
            except InvalidInputError as error:
                raise InvalidInputError(f"{name}: {error.message}") from None
            found |= {prefix + each: value for each, value in made.items()}
        if unused:
            raise InvalidInputError(f"no output that is wanted needs {min(unused)[:80]!r}")
        return {each: found[each] for each in outputs}

    def interrupt(self) -> None:
        """See `LoadedModel.interrupt`."""
        for part in self._parts.values():
            part.interrupt()

    def close(self) -> None:
        """See `LoadedModel.close`."""
        for part in self._parts.values():
            part.close()


def _named(part: str, spec: TensorSpec) -> TensorSpec:
    return msgspec.structs.replace(spec, name=part + SEPARATOR + spec.name)
