"""Which backend runs which format, and whether its files may be run in the server's own process."""

from dataclasses import dataclass
from importlib.util import find_spec

from sensorium.core.errors import NotSupportedError, UnavailableError
from sensorium.core.loading import load
from sensorium.models.artifact import Format
from sensorium.models.backends.base import Backend


@dataclass(frozen=True)
class Engine:
    """One of several libraries that can run a format: its package, and the module that it is."""

    package: str
    module: str
    target: str
    install: str
    """How it comes here."""


@dataclass(frozen=True)
class Row:
    """A backend: its name, the address of its instance, and where it may run."""

    name: str
    target: str
    in_process: bool = False
    """By default; whatever parses untrusted files in native code runs in a process of its own."""
    text: bool = False
    """Whether its models make text."""
    engines: tuple[Engine, ...] = ()
    """Where there is a choice; the first is `target`'s."""


_PLACE = "sensorium.models.backends"
BACKENDS: dict[Format, Row] = {
    "gguf": Row(
        "gguf",
        f"{_PLACE}.gguf_loading:BACKEND",
        text=True,
        engines=(
            Engine(
                "xllamacpp",
                "xllamacpp",
                f"{_PLACE}.gguf_loading:BACKEND",
                "pip install 'sensorium[gguf]'",
            ),
            Engine(
                "llama-cpp-python",
                "llama_cpp",
                f"{_PLACE}.gguf_llama_cpp:BACKEND",
                "pip install llama-cpp-python, which compiles it for about 20 minutes",
            ),
        ),
    ),
    "onnx": Row("onnx", f"{_PLACE}.onnx:BACKEND", in_process=True),
    "litert": Row("litert", f"{_PLACE}.litert:BACKEND"),
    "mediapipe": Row("mediapipe", f"{_PLACE}.mediapipe:BACKEND"),
    "torchscript": Row("torchscript", f"{_PLACE}.torchscript:BACKEND"),
    "transformers": Row("transformers", f"{_PLACE}.transformers:BACKEND", text=True),
    "tokenizer": Row("tokenizer", f"{_PLACE}.tokenizer:BACKEND", text=True),
    "lightgbm": Row("lightgbm", f"{_PLACE}.lightgbm:BACKEND"),
    "remote": Row("remote", f"{_PLACE}.remote:BACKEND", text=True),
}


def row_of(format: Format) -> Row:
    """The backend of a format.

    Raises:
        NotSupportedError: there is none.
    """
    row = BACKENDS.get(format)
    if row is None:
        raise NotSupportedError(f"there is no backend for {format} models")
    return row


def probe(engine: Engine) -> str:
    """What is missing for an engine, and how it comes here; '' where it is here."""
    try:
        found = find_spec(engine.module) is not None
    except (ImportError, ValueError):
        found = False
    return "" if found else f"{engine.package} is not installed: {engine.install}"


def backend_of(format: Format, engine: str = "") -> Backend:
    """The backend of a format, loaded now; with the engine of that name, where one is named.

    Raises:
        NotSupportedError: there is none.
        UnavailableError: its library is not installed; says how to get it.
    """
    found: Backend = load(address_of(format, engine))
    return found


def address_of(format: Format, engine: str = "") -> str:
    """Where a backend stands: that of the named engine, or else of the first that is installed.

    Errors as for `backend_of`.
    """
    row = row_of(format)
    if not engine:
        return next((each.target for each in row.engines if not probe(each)), row.target)
    for each in row.engines:
        if each.package == engine:
            if missing := probe(each):
                raise UnavailableError(missing, details={"missing": each.module})
            return each.target
    raise NotSupportedError(f"{row.name} models are not run by {engine}")
