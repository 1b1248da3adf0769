"""What a pipeline is given, against what it says that it takes."""

from collections.abc import Mapping

import msgspec

from sensorium.capabilities.pipelines.flow import Held
from sensorium.capabilities.pipelines.shapes import of_spec
from sensorium.core.codec import explained
from sensorium.core.conversion import fit
from sensorium.core.errors import InvalidInputError
from sensorium.core.values import ANY, STRUCTS, Spec, Value

_OUTERMOST = {b"[": "list", b"{": "map", b'"': "text"}
"""What JSON is that begins so."""


def read_inputs(
    raw: msgspec.Raw, specs: Mapping[str, Spec], defaults: Mapping[str, Value]
) -> dict[str, Held]:
    """The inputs by name, each as its kind is.

    Of what is too large to be read here only the outermost kind is looked at; the operation that
    it goes to looks at the rest.

    Raises:
        InvalidInputError: one is missing, unknown, or of another kind.
    """
    try:
        given = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        wrong = explained(error)
        raise InvalidInputError(f"inputs: {wrong.message}", details={"at": "$.inputs"}) from None
    for name in given:
        if name not in specs:
            known = ", ".join(specs) or "none"
            raise _wrong(name[:64], f"there is no such input; there is {known}")
    return {name: _input(name, spec, given, defaults) for name, spec in specs.items()}


def _input(
    name: str, spec: Spec, given: Mapping[str, msgspec.Raw], defaults: Mapping[str, Value]
) -> Held:
    if name not in given:
        if name in defaults or spec.nullable:
            return Held(defaults.get(name))
        raise _wrong(name, f"must be given, as {spec}")
    body = bytes(given[name])
    held = Held(raw=body, tagged=True)
    if held.readable:
        return _read_at_once(body, spec) or Held(_fitted(name, spec, held))
    outermost = _OUTERMOST.get(body[:1], "")
    if spec.kind not in (outermost, ANY):
        raise _wrong(name, f"is no {spec}, or too large for one")
    return held


def _read_at_once(body: bytes, spec: Spec) -> Held | None:
    """What fits as it stands, tags and conversions aside; much faster where there is much."""
    if b'"$' in body or any(kind in STRUCTS for kind in spec.kinds):
        return None
    try:
        return Held(msgspec.json.decode(body, type=of_spec(spec)), raw=body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _fitted(name: str, spec: Spec, held: Held) -> Value:
    try:
        return fit(held.value(name), spec, f"$.inputs.{name}")
    except InvalidInputError as error:
        at = {"at": f"$.inputs.{name}", **error.details}
        raise InvalidInputError(f"input {name}: {error.message}", details=at) from None


def _wrong(name: str, message: str) -> InvalidInputError:
    return InvalidInputError(f"input {name}: {message}", details={"at": f"$.inputs.{name}"})
