"""What is read and written as text: UTF-8, unless the locale names another encoding."""

import codecs
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

TOLD = "sensorium.told"
REPLACED = "backslashreplace"
NO_TEXT = "of standard input"


def set_up_streams() -> None:
    """Have standard input refuse what is no text, and the others write all that is.

    The C locale says ASCII because it says nothing; what a file's name holds that is no text is
    written as it came.
    """
    codecs.register_error(TOLD, _tell)
    policies = ((sys.stdin, TOLD), (sys.stdout, "surrogateescape"), (sys.stderr, REPLACED))
    for stream, errors in policies:
        if isinstance(stream, TextIOWrapper):
            encoding = codecs.lookup(stream.encoding).name
            stream.reconfigure(encoding="utf-8" if encoding == "ascii" else None, errors=errors)


def read(arguments: Sequence[str]) -> list[str] | None:
    """The arguments as text; None where one is none.

    The name of a file that is there may be any bytes.
    """
    try:
        return [
            os.fsencode(each).decode() if _undecoded(each) and not _names_a_file(each) else each
            for each in arguments
        ]
    except UnicodeDecodeError:
        return None


def explained(error: UnicodeError) -> str | None:
    """What could not be read or written as text; None where that is a fault of the program."""
    if isinstance(error, UnicodeDecodeError) and error.reason == NO_TEXT:
        return (
            f"standard input is not {error.encoding.upper()} text; "
            "`iconv -f latin1 -t utf-8`, say, makes it so"
        )
    if isinstance(error, UnicodeEncodeError):
        return (
            f"{ascii(error.object[error.start : error.end])[:80]} cannot be written as "
            f"{error.encoding.upper()}; try with LC_ALL=C.UTF-8"
        )
    return None


def _tell(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError):
        error.reason = NO_TEXT
    raise error


def _undecoded(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)


def _names_a_file(argument: str) -> bool:
    value = argument.rpartition("=")[2]
    return any(map(os.path.exists, (argument, value.removeprefix("@"))))
