"""TorchScript archives and exported programs."""

import io
import json
import pickle
import warnings
import zipfile
from typing import NamedTuple, Optional

import numpy as np
import pytest

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.models.backends.base import LoadOptions
from sensorium.models.weighing import weigh
from tests.models.backends.contract import (
    FEW_CYCLES,
    Case,
    TensorContract,
    artifact,
    load,
    numbers,
)

torch = pytest.importorskip("torch", reason="torch is not installed: sensorium[torch]")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
TRUSTED = LoadOptions(trusted=True)
CANARY = "sensorium_canary"


class Calculator(torch.nn.Module):
    def forward(self, a, b):
        return {"sum": a + b, "product": a * b}


class Dense(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(50, 6)
        self.dense = torch.nn.Linear(6, 4)

    def forward(self, ids):
        return self.dense(self.embed(ids)).mean(1)


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


class Named(torch.nn.Module):
    def forward(self, x, scale: Optional[torch.Tensor] = None, power: int = 2):  # noqa: UP045
        if scale is not None:
            x = x * scale
        return Pair(x**power, x.to(torch.bfloat16))


class Reads(torch.nn.Module):
    def forward(self, x):
        return torch.from_file("/etc/hostname", False, 1, dtype=torch.uint8).float() + x


def scripted(path, module, **extra):
    torch.jit.save(torch.jit.script(module.eval()), str(path), _extra_files=extra)
    return path


def exported(path, module, *inputs, dynamic=None):
    batch = torch.export.Dim("batch", min=1, max=4096)
    shapes = dynamic or {name: {0: batch} for name in ("a", "b")}
    torch.export.save(torch.export.export(module, inputs, dynamic_shapes=shapes), path)
    return path


def repacked(path, change, target):
    """The archive with members changed: `change` maps a name and content to content or None."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change(name.partition("/")[2], old.read(name))
            if content is not None:
                new.writestr(name, content)
    return artifact(target, "torchscript")


def pair():
    return torch.ones(2, 3), torch.zeros(2, 3)


CALCULATED = {
    "inputs": lambda rows: {"a": numbers(rows), "b": numbers(rows) + 1},
    "expected": lambda x: {"sum": x["a"] + x["b"], "product": x["a"] * x["b"]},
}


class TestScripted(TensorContract):
    cycles = FEW_CYCLES

    @pytest.fixture
    def case(self, tmp_path):
        path = scripted(tmp_path / "model.pt", Calculator())
        return Case(artifact(path, "torchscript"), **CALCULATED)


class TestExported(TensorContract):
    cycles = FEW_CYCLES

    @pytest.fixture
    def case(self, tmp_path):
        path = exported(tmp_path / "model.pt2", Calculator(), *pair())
        return Case(artifact(path, "torchscript"), **CALCULATED)

    def test_nobody_has_to_trust_it(self, case):
        assert weigh(case.artifact, LoadOptions()) > 0


def test_inputs_are_seen_in_the_code(tmp_path):
    module = Dense().eval()
    model = load(artifact(scripted(tmp_path / "model.pt", module), "torchscript"))
    assert [(e.name, e.datatype, e.shape) for e in model.spec.inputs] == [
        ("ids", "INT64", [-1, -1])
    ]
    assert [(e.name, e.shape) for e in model.spec.outputs] == [("output", [-1, 4])]
    ids = np.array([[1, 2, 3], [4, 5, 6]])
    expected = module(torch.tensor(ids)).detach().numpy()
    np.testing.assert_allclose(model.infer({"ids": ids}, ["output"])["output"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("module", "shape", "batch"),
    [
        (torch.nn.Linear(5, 2), [-1, 5], (3, 5)),
        (torch.nn.Conv2d(4, 6, 3, groups=2), [-1, 4, -1, -1], (2, 4, 9, 9)),
        (torch.nn.Conv1d(3, 2, 30), [-1, 3, -1], (2, 3, 40)),
    ],
)
@pytest.mark.parametrize("traced", [False, True])
def test_layers_tell_their_inputs(tmp_path, module, shape, batch, traced):
    path = tmp_path / "model.pt"
    x = torch.randn(batch)
    if traced:
        torch.jit.save(torch.jit.trace(module.eval(), x), str(path))
    else:
        scripted(path, module)
    model = load(artifact(path, "torchscript"))
    (takes,) = model.spec.inputs
    assert takes.shape == shape
    found = model.infer({takes.name: x.numpy()}, ["output"])["output"]
    np.testing.assert_allclose(found, module(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_sidecar_tells_what_the_code_does_not(tmp_path):
    path = scripted(tmp_path / "model.pt", Named())
    plain = load(artifact(path, "torchscript"))
    assert [each.name for each in plain.spec.outputs] == ["first", "second"]
    text = """
[[inputs]]
name = "x"
datatype = "FP32"
shape = [-1, 2]

[[inputs]]
name = "scale"
datatype = "FP32"
shape = [1]

[[outputs]]
name = "square"
datatype = "FP32"
shape = [-1, 2]

[[outputs]]
name = "short"
datatype = "BF16"
shape = [-1, 2]
"""
    (tmp_path / "model.toml").write_text(text)
    model = load(artifact(path, "torchscript"))
    assert model.spec.optional == ["scale"]
    assert [(each.name, each.datatype) for each in model.spec.outputs] == [
        *(("square", "FP32"), ("short", "BF16"))
    ]
    x = np.array([[1, 2]], np.float32)
    found = model.infer({"x": x, "scale": np.array([3], np.float32)}, ["square", "short"])
    assert found["square"].tolist() == [[9, 36]]
    assert found["short"].tolist() == [[0x4040, 0x40C0]]
    inside = scripted(tmp_path / "inside.pt", Named(), **{"model.toml": text})
    (tmp_path / "model.toml").unlink()
    assert load(artifact(inside, "torchscript")).spec == model.spec
    (tmp_path / "model.toml").write_text("[[inputs]]\nname = 'nobody'\n")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load(artifact(path, "torchscript"))


def test_what_cannot_be_told_asks_for_a_sidecar(tmp_path):
    class Odd(torch.nn.Module):
        def forward(self, x):
            assert x.dim() == 5
            return x

    with pytest.raises(InvalidInputError, match=r"write a model\.toml"):
        load(artifact(scripted(tmp_path / "model.pt", Odd()), "torchscript"))


def test_pickles_are_never_loaded(tmp_path):
    class Evil:
        def __reduce__(self):
            return exec, (f"import builtins; builtins.{CANARY} = 1",)

    raw, packed, legacy = (tmp_path / name for name in ("raw.pt", "packed.pt", "legacy.pt"))
    raw.write_bytes(pickle.dumps(Evil()))
    torch.save({"x": Evil()}, packed)
    torch.save({"x": Evil()}, legacy, _use_new_zipfile_serialization=False)
    for path in (raw, packed, legacy):
        with pytest.raises(InvalidInputError, match="pickle"):
            load(artifact(path, "torchscript"))
    assert CANARY not in dir(__import__("builtins"))


def test_code_that_touches_files_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="reads or writes files"):
        load(artifact(scripted(tmp_path / "reads.pt", Reads()), "torchscript"))
    load(artifact(tmp_path / "reads.pt", "torchscript"), TRUSTED).close()
    path = exported(tmp_path / "good.pt2", Calculator(), *pair())

    def change(name, content):
        return content.replace(b"torch.ops.aten.add.Tensor", b"torch.ops.aten.from_file.default")

    with pytest.raises(InvalidInputError, match="from_file"):
        load(repacked(path, change, tmp_path / "model.pt2"))


def evil_pickle():
    class Evil:
        def __reduce__(self):
            return exec, (f"import builtins; builtins.{CANARY} = 1",)

    file = io.BytesIO()
    torch.save({"x": Evil()}, file)
    return file.getvalue()


def call_system(name, content):
    if name != "models/model.json":
        return content
    program = json.loads(content)
    node = program["graph_module"]["graph"]["nodes"][0]
    node["target"] = "torch.os.system"
    return json.dumps(program)


def in_expression(name, content):
    evil = "__import__('builtins').print('x')"
    return (
        content.replace(b"Symbol('s", f"{evil}+Symbol('s".encode()) if "json" in name else content
    )


def in_a_name(name, content):
    if name != "models/model.json":
        return content
    return content.replace(b'"name": "a"', b'"name": "a=print(1)"')


def in_guards(name, content):
    if name != "models/model.json":
        return content
    program = json.loads(content)
    program["guards_code"] = [f"exec('import builtins; builtins.{CANARY} = 1') or True"]
    return json.dumps(program)


def in_weights(name, content):
    if name == "data/constants/model_constants_config.json":
        entry = {"path_name": "tensor_0", "is_param": False, "use_pickle": True}
        return json.dumps({"config": {"x": {**entry, "tensor_meta": None}}})
    return content


@pytest.mark.parametrize("change", [call_system, in_expression, in_a_name, in_weights])
def test_exported_programs_that_would_run_code(tmp_path, change):
    path = exported(tmp_path / "good.pt2", Calculator(), *pair())
    with pytest.raises(InvalidInputError, match="never loaded"):
        load(repacked(path, change, tmp_path / "model.pt2"), TRUSTED)
    assert CANARY not in dir(__import__("builtins"))


def test_what_is_not_needed_of_exported_programs_is_left_out(tmp_path):
    path = exported(tmp_path / "good.pt2", Calculator(), *pair())

    def change(name, content):
        return evil_pickle() if name.startswith("data/sample_inputs") else in_guards(name, content)

    model = load(repacked(path, change, tmp_path / "model.pt2"))
    found = model.infer({"a": numbers(5), "b": numbers(5)}, ["sum"])["sum"]
    np.testing.assert_array_equal(found, numbers(5) * 2)
    assert CANARY not in dir(__import__("builtins"))


@pytest.mark.parametrize("name", ["data/aotinductor/model/x.so", "data/constants/opaque_obj_0"])
def test_compiled_code_in_exported_programs_is_refused(tmp_path, name):
    path = exported(tmp_path / "model.pt2", Calculator(), *pair())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/" + name, b"\x7fELF")
    with pytest.raises(InvalidInputError, match="compiled code or objects"):
        load(artifact(path, "torchscript"))


def test_a_larger_exported_program(tmp_path):
    """Symbols in expressions, a dictionary, constants, containers of inputs."""

    class Larger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = torch.nn.Linear(4, 3)
            self.register_buffer("bias", torch.ones(3))

        def forward(self, x, more):
            h = torch.relu(self.dense(x)) + self.bias
            wide = h[:, None].repeat(1, x.shape[0] * 2 + 1, 1)
            gelu = torch.nn.functional.gelu(wide, approximate="tanh")
            return {"h": h, "rest": (gelu, torch.einsum("bi,bj->bij", h, more["mask"].float()))}

    module = Larger().eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    inputs = (torch.randn(2, 4), {"mask": torch.ones(2, 3, dtype=torch.bool)})
    shapes = {"x": {0: batch}, "more": {"mask": {0: batch}}}
    path = exported(tmp_path / "model.pt2", module, *inputs, dynamic=shapes)
    model = load(artifact(path, "torchscript"))
    assert [(each.datatype, each.shape) for each in model.spec.inputs] == [
        *(("FP32", [-1, 4]), ("BOOL", [-1, 3]))
    ]
    assert [(each.name, each.shape) for each in model.spec.outputs] == [
        *(("h", [-1, 3]), ("rest.0", [-1, -1, 3]), ("rest.1", [-1, 3, 3]))
    ]
    x, mask = torch.randn(5, 4), torch.rand(5, 3) > 0.5
    arrays = dict(zip((e.name for e in model.spec.inputs), (x.numpy(), mask.numpy()), strict=True))
    found = model.infer(arrays, ["rest.1", "h", "rest.0"])
    expected = module(x, {"mask": mask})
    np.testing.assert_allclose(found["h"], expected["h"].detach(), rtol=1e-5)
    np.testing.assert_allclose(found["rest.0"], expected["rest"][0].detach(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["rest.1"], expected["rest"][1].detach(), rtol=1e-5)


def test_what_computes_is_never_the_cpu_in_silence(tmp_path):
    made = artifact(scripted(tmp_path / "model.pt", Calculator()), "torchscript")
    with pytest.raises(UnavailableError, match="mps is not available"):
        load(made, LoadOptions(providers=["mps"]))
    with pytest.raises(InvalidInputError, match="no provider 'tpu'"):
        load(made, LoadOptions(providers=["tpu"]))
    model = load(made, LoadOptions(providers=["mps"], fallback=True))
    assert model.spec.providers == ["cpu"]
    assert model.spec.degraded.startswith("mps: ")


def test_loading_warns_of_nothing(tmp_path):
    path = scripted(tmp_path / "model.pt", Calculator())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load(artifact(path, "torchscript"))
        model.infer({"a": numbers(2), "b": numbers(2)}, ["sum"])
