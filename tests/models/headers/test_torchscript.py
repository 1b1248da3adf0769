"""TorchScript and MediaPipe bundles; pickles and what else runs as it is loaded are refused."""

import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import TensorSpec
from sensorium.models.headers.reading import read_header
from tests.models.headers.building import Flat, read, refusal, tflite, torchscript, zipped


class Canary:
    """Makes a file once it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return _touch, (str(self.path),)


def _touch(path: str) -> None:
    Path(path).touch()


def test_torchscript_tells_its_tensors() -> None:
    header = read("torchscript", torchscript())
    assert (header.tensors, header.tensor_bytes) == (2, 96)
    assert header.details == {
        "kind": "TorchScript",
        "name": "net",
        "version": "3",
        "members": "7",
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("packed", ["plain", "zip", "torchscript", "exported"])
def test_a_pickle_is_never_loaded(tmp_path: Path, protocol: int, packed: str) -> None:
    canary = tmp_path / "canary"
    data = pickle.dumps(Canary(canary), protocol)
    path = tmp_path / "model.pt"
    if packed == "zip":
        data = zipped({"net/data.pkl": data, "net/version": b"3", "net/data/0": bytes(8)})
    elif packed == "torchscript":
        data = torchscript(net_data_pkl=data, net_constants_pkl=data)
    elif packed == "exported":
        data = zipped(
            {
                "net/archive_format": b"pt2",
                "net/models/model.json": b"{}",
                "net/data/sample_inputs/model.pt": zipped({"archive/data.pkl": data}),
            }
        )
    path.write_bytes(data)
    # TorchScript has a reader of its own, which makes no objects; of an exported program, the
    # backend passes such a member over.
    if packed in ("torchscript", "exported"):
        read_header(path, "torchscript")
    else:
        with pytest.raises(InvalidInputError, match="run any code"):
            read_header(path, "torchscript")
    assert not canary.exists()
    pickle.loads(pickle.dumps(Canary(canary), protocol))
    assert canary.exists(), "the canary sings where it is loaded"


@pytest.mark.parametrize(
    "data", [b"\x80\x02}.", zipped({"net/data.pkl": b"\x80\x02}."}), b"\x80\x05"]
)
def test_a_pickle_is_called_one(data: bytes) -> None:
    assert "this is a pickle" in refusal("torchscript", data)


def test_programs_of_torch_export_tell_their_tensors() -> None:
    members = {
        "net/archive_format": b"pt2",
        "net/models/model.json": b"{}",
        "net/data/weights/weight_0": bytes(48),
    }
    header = read("torchscript", zipped(members))
    assert (header.tensors, header.tensor_bytes) == (1, 48)
    assert header.details["kind"] == "torch.export"
    compiled = {**members, "net/data/aotinductor/model/x.so": b"\x7fELF"}
    assert "compiled code, which is never loaded" in refusal("torchscript", zipped(compiled))
    old = {"net/serialized_exported_program.json": b"{}", "net/version": b"1"}
    assert "export it anew" in refusal("torchscript", zipped(old))


@pytest.mark.parametrize(
    "line",
    [
        'torch.save(x, "/tmp/x")',
        'torch.from_file("/etc/passwd", None, 10)',
        "torch . \\\n save (x, y)",
        'ops.aten.save(x, "y")',
        "f = torch.save",
        "rpc_async(a, b)",
    ],
)
def test_code_that_reaches_for_files_is_for_the_trusted(tmp_path: Path, line: str) -> None:
    code = f"class Net(Module):\n  def forward(self, x):\n    {line}\n    return x\n"
    data = torchscript(net_code___torch___py=code.encode())
    assert "trusted sources only" in refusal("torchscript", data)
    path = tmp_path / "net.pt"
    path.write_bytes(data)
    assert read_header(path, "torchscript", trusted=True).tensors == 2


def test_operators_of_others_are_named() -> None:
    code = b"class Net(Module):\n  x = ops.torchvision.nms(a, b, 0.5)\n  y = ops.prim.data(x)\n"
    header = read("torchscript", torchscript(net_code___torch___py=code))
    assert header.details["custom_operators"] == "torchvision"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no zip file"),
        (b"hello", "no zip file"),
        (torchscript(net_data_pkl=None), "neither TorchScript nor"),
        (torchscript(net_constants_pkl=None), "version that is not read"),
        (torchscript(net_version=None), "version that is not read"),
        (torchscript(net_version=b"3" * 65), "longer than 64"),
        (torchscript(net_version=b"\xff"), "no UTF-8"),
        (torchscript(net_code___torch___py=b"\xff"), "no UTF-8"),
        (zipped({"a/data.pkl": b"", "b/code/x.py": b""}), "not all in one folder"),
        (zipped({"net/code/x.py": b"", "net/data.pkl": b"", "net/model.json": b""}), "version"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    assert why in refusal("torchscript", data)


MODEL = bytes(Flat(tflite()).data)


def test_a_bundle_tells_its_models() -> None:
    header = read("mediapipe", zipped({"face.tflite": MODEL, "labels.txt": b"face"}))
    assert header.inputs == [TensorSpec(name="in", datatype="INT8", shape=[-1, 4])]
    assert header.details == {"models": "face.tflite", "members": "2"}
    assert header.tensor_bytes == 32


def test_bundles_in_a_bundle_are_read() -> None:
    inner = zipped({"hand.tflite": MODEL, "more": MODEL})
    header = read("mediapipe", zipped({"hand.task": inner, "gesture.tflite": MODEL}))
    assert header.details["models"] == "hand.task/hand.tflite, hand.task/more, gesture.tflite"
    assert header.inputs == []
    assert (header.tensors, header.tensor_bytes) == (9, 96)


def test_what_is_wrong_with_a_bundle_is_said() -> None:
    deep = zipped({"a.tflite": MODEL})
    for _ in range(3):
        deep = zipped({"a.task": deep})
    broken = bytearray(MODEL)
    struct.pack_into("<I", broken, 0, 0)
    wrong = {
        "no TensorFlow Lite model": zipped({"labels.txt": b""}),
        "compressed, which bundles": zipped({"a.tflite": MODEL}, deflated=["a.tflite"]),
        "nested more than 3": deep,
        "'a.tflite': the offset": zipped({"a.tflite": bytes(broken)}),
        "more than 64 models": zipped({f"{n}.tflite": MODEL for n in range(65)}),
        "leads out": zipped({"../a.tflite": MODEL}),
    }
    for why, data in wrong.items():
        assert why in refusal("mediapipe", data)
