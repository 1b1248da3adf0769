"""Model files changed in the ways that break parsers, and whether their readers bear it.

    python -m tests.models.headers.fuzzing COUNT SEED

reads COUNT mutants, under a limit of memory for all and of time for each, and prints what came of
them as JSON. A mutant is told by SEED and its number alone.
"""

import json
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.models.artifact import Format
from sensorium.models.headers import torchscript as torch_files
from sensorium.models.headers.header import Header
from sensorium.models.headers.reading import READERS, read_header
from sensorium.models.headers.source import Source, held
from sensorium.models.headers.wire import BYTES, VARINT, Wire
from tests.models.headers import building
from tests.models.headers.building import (
    LLAMA,
    MODELS,
    SAMPLES,
    TINYLM,
    Flat,
    entry,
    field,
    row,
    tensor,
    varint,
)

MEMORY_BYTES = 192 << 20
"""More than the seeds themselves take."""
SECONDS = 1.0
"""Of processor time, for one mutant."""
HEAD = 1 << 16
"""Most changes are made before it: behind it there are weights."""
WORDS = [0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
LONGS = [1 << 32, 1 << 40, 1 << 60, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
TEXTS = [b"-1", b"0", b"1e999", b"9" * 400, b"[" * 5000, b"null", b"\\u0000", b"\xff", b"../", b"{"]


class Seed(NamedTuple):
    """A file that is well formed, and where its numbers are."""

    name: str
    format: Format
    data: bytes
    read: Callable[[bytes], Header]
    places: list[int]


class TooSlowError(BaseException):
    """A mutant took longer than it may; no handler of errors may catch this."""


class _Noting(Source):
    """Notes where a reader looks for numbers."""

    def __init__(self, data: bytes) -> None:
        super().__init__(held(data)._file, len(data))
        self.places: list[int] = []

    def read(self, at: int, count: int) -> bytes:
        if count in (1, 2, 4, 8):
            self.places.append(at)
        return super().read(at, count)


def seeds() -> list[Seed]:
    """The files that ship, the shared ones that are there, and small ones made here."""
    found = [_seed(path.name, kind, path.read_bytes()) for kind, path in _files()]
    found += [_seed(f"made {name}", kind, data) for name, kind, data in _made()]
    found += [_folder_seed("config.json"), _folder_seed("model.safetensors.index.json")]
    return found


def _files() -> list[tuple[Format, Path]]:
    patterns: list[tuple[Format, Path, str]] = [
        ("onnx", SAMPLES, "*/*.onnx"),
        ("gguf", TINYLM, "*.gguf"),
        ("gguf", MODELS, "*.gguf"),
        ("transformers", TINYLM, "hf-f16/*.safetensors"),
        ("onnx", MODELS, "onnx/**/*.onnx"),
        ("litert", MODELS, "tflite/*.tflite"),
    ]
    return [(kind, path) for kind, base, what in patterns for path in sorted(base.glob(what))]


def _made() -> list[tuple[str, Format, bytes]]:
    model = bytes(Flat(building.tflite()).data)
    entries = {"__metadata__": {"format": "pt"}, "a": entry("F16", [4, 2], 0, 16)}
    entries["b"] = entry("I64", [3], 16, 40)
    weights = field(5, tensor("w", [2, 2], bytes(16)))
    beside = field(5, building.outside("v", [4], location="v.bin", offset="8"))
    graph = [weights, beside, field(2, "net")]
    return [
        ("gguf", "gguf", building.gguf(LLAMA, [row("a", [64, 2], 8), row("b", [5], 0, 160)], 192)),
        ("safetensors", "transformers", building.safetensors(entries, 40)),
        ("onnx", "onnx", building.onnx(*graph)),
        ("tflite", "litert", model),
        ("task", "mediapipe", building.zipped({"a.tflite": model, "labels.txt": b"a\nb"})),
        ("torchscript", "torchscript", building.torchscript()),
        ("lightgbm", "lightgbm", building.lightgbm()),
    ]


def _seed(name: str, format: Format, data: bytes) -> Seed:
    reader = READERS[format]
    noting = _Noting(data)
    reader(noting)
    places = {place for place in noting.places if place < HEAD}
    if format == "onnx":
        places |= set(_protobuf_places(data, 0, len(data)))
    for start in re.finditer(rb"PK[\1\3\5\6][\2\4\6\7]", data):
        places |= set(range(start.end(), start.end() + 42, 2))

    def read(mutant: bytes) -> Header:
        if format == "torchscript":
            torch_files.read(held(mutant), trusted=True)
        return reader(held(mutant))

    return Seed(name, format, data, read, sorted(places))


def _folder_seed(name: str) -> Seed:
    """A file of a folder of transformers; the others are as they should be."""
    folder = Path(tempfile.mkdtemp())
    config = {"model_type": "llama", "architectures": ["A"], "num_hidden_layers": 2}
    config |= {"num_attention_heads": 4, "hidden_size": 64, "auto_map": {"AutoModel": "m.M"}}
    index = {"metadata": {"total_size": 4}, "weight_map": {"a": "one.safetensors"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    one = building.safetensors({"a": entry("F32", [1], 0, 4)}, 4)
    (folder / "one.safetensors").write_bytes(one)
    path = folder / name

    def read(mutant: bytes) -> Header:
        path.write_bytes(mutant)
        return read_header(folder, "transformers")

    return Seed(name, "transformers", path.read_bytes(), read, [0])


def _protobuf_places(data: bytes, at: int, end: int, depth: int = 0) -> list[int]:
    """Where keys and lengths are, in whatever can be read as messages."""
    found: list[int] = []
    while at < end and depth < 8 and len(found) < 20_000:
        found.append(at)
        kind = data[at] & 7
        at += 1
        start = at
        while at < end and data[at] & 0x80:
            at += 1
        at += 1
        if kind == 2:
            length = data[start] & 0x7F | (data[start + 1] << 7 if at - start > 1 else 0)
            found.append(start)
            found += _protobuf_places(data, at, min(at + length, end), depth + 1)
            at += length
        elif kind in (1, 5):
            at += 7 if kind == 1 else 3
        elif kind != 0:
            break
    return found


def mutant(seed: Seed, others: list[Seed], rng: random.Random) -> bytes:
    """The seed with one to three changes."""
    data = bytearray(seed.data)
    changes = [_flip, _cut, _number, _number, _number, _splice, _text, _byte]
    if seed.format == "onnx":
        changes += [_field] * len(changes)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        rng.choice(changes)(data, seed, others, rng)
    return bytes(data)


def _place(data: bytearray, rng: random.Random) -> int:
    end = len(data) if rng.random() < 0.1 else min(len(data), HEAD)
    return rng.randrange(max(end, 1))


def _flip(data: bytearray, seed: Seed, others: list[Seed], rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 2, 8])):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _cut(data: bytearray, seed: Seed, others: list[Seed], rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _number(data: bytearray, seed: Seed, others: list[Seed], rng: random.Random) -> None:
    """A number of 2, 4 or 8 bytes; most often where one was."""
    width = rng.choice([2, 4, 4, 8])
    at = rng.choice(seed.places) if seed.places and rng.random() < 0.8 else _place(data, rng)
    if at + width > len(data):
        return
    near = [len(data), len(data) - at, len(data) + 1, rng.randrange(1, 1 << 16)]
    value = rng.choice([*WORDS, *LONGS, *near])
    if rng.random() < 0.3:
        value = int.from_bytes(data[at : at + width], "little") + rng.choice([-8, -1, 1, 4, 255])
    data[at : at + width] = struct.pack("<Q", value % (1 << 64))[:width]


def _byte(data: bytearray, seed: Seed, others: list[Seed], rng: random.Random) -> None:
    """A single byte where a key or a length is."""
    at = rng.choice(seed.places) if seed.places else _place(data, rng)
    if at < len(data):
        data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])


def _splice(data: bytearray, seed: Seed, others: list[Seed], rng: random.Random) -> None:
    """Bytes of another file, or of this, in between or in place of some."""
    other = rng.choice(others).data
    start = rng.randrange(max(min(len(other), HEAD), 1))
    piece = other[start : start + rng.choice([1, 4, 8, 64, 1024])]
    at = _place(data, rng)
    data[at : at + rng.choice([0, len(piece), rng.randrange(64)])] = piece


def _text(data: bytearray, seed: Seed, others: list[Seed], rng: random.Random) -> None:
    """Something else in place of digits."""
    numbers = list(re.finditer(rb"[0-9]+", bytes(data[: 1 << 13])))
    if numbers:
        found = rng.choice(numbers)
        data[found.start() : found.end()] = rng.choice([*TEXTS, str(rng.choice(LONGS)).encode()])


def _field(data: bytearray, seed: Seed, others: list[Seed], rng: random.Random) -> None:
    """A field of a message dropped, doubled, renumbered or changed, with all lengths put right."""
    message = tree(bytes(data))
    if not message:
        return
    within = message
    while (deeper := [told for _, told in within if isinstance(told, list) and told]) and (
        rng.random() < 0.8
    ):
        within = rng.choice(deeper)
    at = rng.randrange(len(within))
    number, told = within[at]
    match rng.randrange(5):
        case 0:
            del within[at]
        case 1:
            within.insert(rng.randrange(len(within) + 1), (number, told))
        case 2:
            within[at] = (rng.choice([1, 2, 3, 5, 6, 7, 8, 9, 11, 13, 14, 22, 25]), told)
        case 3:
            within[at] = (number, rng.choice([*WORDS, *LONGS]))
        case 4:
            within[at] = (number, rng.choice([b"", b"\xff", bytes(64), [(number, told)]]))
    data[:] = written(message)


Tree = list[tuple[int, Any]]
"""A message: the numbers of its fields, and numbers, bytes, or messages of the same kind."""


def tree(data: bytes, depth: int = 0) -> Tree | None:
    """Bytes as a message, where they can be one."""
    found: Tree = []
    try:
        for number, kind, value, end in Wire(held(data)).fields(0, len(data)):
            if kind == VARINT:
                found.append((number, value))
                continue
            told: Any = data[value:end]
            if kind == BYTES and depth < 12:
                told = tree(told, depth + 1) or told
            found.append((number, told if kind == BYTES else (kind, told)))
    except InvalidInputError:
        return None
    return found


def written(message: Tree) -> bytes:
    """A message as bytes."""
    return b"".join(
        varint(number << 3 | told[0]) + told[1]
        if isinstance(told, tuple)
        else field(number, written(told) if isinstance(told, list) else told)
        for number, told in message
    )


def run(count: int, seed: int) -> dict[str, Any]:
    """What came of so many mutants."""
    every = seeds()
    same = {each.format: [one for one in every if one.format == each.format] for each in every}
    weights = [max(0.1, min(1, HEAD / len(one.data))) / len(same[one.format]) for one in every]
    _limit()
    told: dict[str, Any] = {"accepted": 0, "refused": 0, "slowest_ms": 0.0, "failures": []}
    for number in range(count):
        rng = random.Random(f"{seed}:{number}")
        chosen = rng.choices(every, weights)[0]
        data = mutant(chosen, same[chosen.format], rng)
        start = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            header = chosen.read(data)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            msgspec.convert(msgspec.to_builtins(header), Header)
            told["accepted"] += 1
        except (InvalidInputError, NotFoundError) as refused:
            told["refused"] += 1
            if not refused.message.isascii() or len(refused.message) > 500:
                told["failures"].append([number, chosen.name, refused.message])
        except BaseException as error:
            told["failures"].append([number, chosen.name, repr(error)[:200]])
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        told["slowest_ms"] = max(told["slowest_ms"], 1000 * (time.process_time() - start))
    return told


def _limit() -> None:
    def late(*_: object) -> None:
        raise TooSlowError

    signal.signal(signal.SIGVTALRM, late)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]))))
