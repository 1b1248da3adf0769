"""multipart/form-data; a module of its own, because few bodies are forms."""

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from sensorium.core.errors import MalformedInputError

MAX_PARTS = 1000


class _Collector:
    """Gathers what the parser calls out."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, bool, bytes]] = []
        self.ended = False
        self._header = [bytearray(), bytearray()]
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []

    def on_part_begin(self) -> None:
        if len(self.parts) >= MAX_PARTS:
            raise MalformedInputError(f"a form may have at most {MAX_PARTS} parts")
        self._headers, self._pieces = {}, []

    def on_header_begin(self) -> None:
        self._header = [bytearray(), bytearray()]

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def on_header_end(self) -> None:
        self._headers[bytes(self._header[0]).lower()] = bytes(self._header[1])

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def on_part_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self.parts.append((name, b"filename" in options, b"".join(self._pieces)))

    def on_end(self) -> None:
        self.ended = True


def parse(body: bytes, parameters: str) -> list[tuple[str, bool, bytes]]:
    """The parts of a form: name, whether it is a file, content.

    Raises:
        MalformedInputError: it is not a form, cut short, or has more than `MAX_PARTS` parts.
    """
    _, options = parse_options_header(f"multipart/form-data;{parameters}".encode())
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise MalformedInputError("multipart/form-data needs a boundary")
    collector = _Collector()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": collector.on_part_begin,
                "on_part_data": collector.on_part_data,
                "on_part_end": collector.on_part_end,
                "on_header_begin": collector.on_header_begin,
                "on_header_field": collector.on_header_field,
                "on_header_value": collector.on_header_value,
                "on_header_end": collector.on_header_end,
                "on_end": collector.on_end,
            },
        )
        parser.write(body)
        parser.finalize()
    except MultipartParseError:
        raise MalformedInputError("the form is malformed") from None
    if not collector.ended:
        raise MalformedInputError("the form is cut short")
    return collector.parts
