"""`sensorium call`: any operation, with JSON in and JSON out."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from msgspec import Struct

from sensorium.cli.answers import show
from sensorium.cli.connect import Target
from sensorium.cli.render import Output, progress
from sensorium.core.codec import coerce, decode_item, decode_request
from sensorium.core.dispatch import Encoded
from sensorium.core.errors import InvalidInputError
from sensorium.core.operation import Kind, Operation

MAX_BYTES = 1 << 40
DATA_HELP = "The request as JSON: @FILE, - for standard input, or the JSON itself."
Data = Annotated[str, Parameter(help=DATA_HELP, show_default=False, allow_leading_hyphen=True)]


def call(
    operation: Annotated[
        str, Parameter(help="Its name: `sensorium system operations` lists them.")
    ],
    /,
    *,
    data: Data = "",
    stream: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Read items from standard input, for an operation that listens.",
        ),
    ] = False,
    target: Target = Target(),  # noqa: B008 - frozen
) -> None:
    """Call an operation with JSON, and print its answer as JSON.

    For example:

        sensorium call system.health
        sensorium call logs.cluster --data @request.json
        sensorium call logs.cluster --data @app.log
        sensorium call metrics.watch --stream < points.ndjson
    """
    with target.client() as client:
        found = client.operation(operation)
        if found.kind is Kind.DUPLEX and not stream:
            raise InvalidInputError(
                f"{operation} listens: add --stream, and give it items on standard input"
            )
        made = read_request(found, data, {})
        answer(client, found, made, Output(as_json=True))


def answer(client: Any, operation: Operation, request: Struct, output: Output) -> None:
    """Call an operation and print what it answers; items of a stream are lines of JSON."""
    if operation.kind is Kind.UNARY:
        with progress(operation.name) as report:
            answered = client.with_options(on_progress=report).call(operation.name, request)
        show(answered, output)
        return
    incoming = read_items(operation) if operation.kind is Kind.DUPLEX else None
    for item in client.stream(operation.name, incoming, request):
        sys.stdout.write(msgspec.json.encode(item).decode() + "\n")
        sys.stdout.flush()


def read_request(operation: Operation, data: str, values: dict[str, Any]) -> Struct:
    """The request in `data`, with `values` before what stands there.

    Text that is no JSON object is taken as lines, where the operation takes lines.

    Raises:
        InvalidInputError: it is not a request for this operation.
        OSError: the file cannot be read.
    """
    body = _read(data)
    lines = operation.lines_field is not None and operation.incoming is None
    if lines and body and not body.lstrip().startswith(b"{"):
        fields = {name: msgspec.json.encode(value).decode() for name, value in values.items()}
        read = decode_request(operation, Encoded(body, media_type="text/plain"), MAX_BYTES)
        return msgspec.structs.replace(read, **coerce(operation.request, fields))
    if values:
        whole = _object(body)
        body = msgspec.json.encode({**whole, **values})
    return decode_request(operation, Encoded(body), MAX_BYTES)


def read_items(operation: Operation) -> Iterator[Struct | str]:
    """Items on standard input: a JSON object each line, or lines of text where it takes lines."""
    for line in sys.stdin.buffer:
        if operation.lines_field is not None and not line.startswith(b"{"):
            yield line.decode("utf-8", "replace").replace("\r\n", "\n")
        elif line.strip():
            yield decode_item(operation, Encoded(line), MAX_BYTES)


def _read(data: str) -> bytes:
    if data == "-":
        return sys.stdin.buffer.read()
    return Path(data[1:]).read_bytes() if data.startswith("@") else data.encode()


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise InvalidInputError(f"--data is not a JSON object: {error}") from None
