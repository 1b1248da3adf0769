"""The envelope: many calls at once over one connection that carries messages both ways.

    {"id": 1, "op": "logs.cluster", "data": {…}}   begin a call; also "priority", "deadline_s"
    {"id": 1, "chunk": {…}}, {"id": 1, "end": {}}  items for a call that listens; a chunk of null
                                                   is a sign of life
    {"id": 1, "cancel": true}                      stop it

Over a connection that carries tracks, `"tracks": true` beside `op` feeds a call that listens from
them, too.

and back `{"id": 1, "data": {…}}`, or `{"id": 1, "chunk": {…}}` … `{"id": 1, "end": {}}`, or
`{"id": 1, "error": {"code": …, "message": …, "details": …}}`: exactly one end for every call.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from sensorium.core.errors import ErrorBody, InvalidInputError, MalformedInputError

MAX_MESSAGE = 4 << 20
"""A message is decoded on the event loop; what is larger goes over HTTP."""

CallId = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | Annotated[str, Meta(max_length=128)]


_ABSENT = Raw()
EMPTY = Raw(b"{}")


class _Id(Struct):
    """What is read of a message that is otherwise wrong, to say which one it was."""

    id: CallId


class Incoming(Struct, forbid_unknown_fields=True):
    """A message from the client."""

    id: CallId
    op: Annotated[str, Meta(max_length=128)] | None = None
    data: Raw = _ABSENT
    chunk: Raw = _ABSENT
    end: Raw = _ABSENT
    cancel: bool = False
    priority: Literal["interactive", "batch"] = "interactive"
    deadline_s: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    idempotency_key: Annotated[str, Meta(max_length=256)] | None = None
    tracks: bool = False


_DECODER = msgspec.json.Decoder(Incoming)


class Outgoing(Struct, omit_defaults=True):
    """A message to the client."""

    id: CallId | None
    data: Raw = _ABSENT
    chunk: Raw = _ABSENT
    end: Raw = _ABSENT
    error: ErrorBody | None = None


def id_of(message: bytes | str) -> CallId | None:
    """The id of a message that is otherwise wrong, if that much can be read."""
    try:
        return msgspec.json.decode(message, type=_Id).id
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def decode(message: bytes | str) -> Incoming:
    """A message from the client.

    Raises:
        MalformedInputError: it is not JSON.
        InvalidInputError: it is, but not an envelope.
    """
    try:
        return _DECODER.decode(message)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"not an envelope: {error}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise MalformedInputError("the message is not JSON") from None
