"""A library that is not installed is named, with what brings it."""

import sys

import pytest

from sensorium.core.errors import NotSupportedError, UnavailableError
from sensorium.models.backends.table import BACKENDS, address_of, backend_of, row_of


@pytest.mark.parametrize(
    ("format", "library", "extra"),
    [
        ("litert", "ai_edge_litert", "litert"),
        ("mediapipe", "ai_edge_litert", "litert"),
        ("torchscript", "torch", "torch"),
        ("transformers", "torch", "torch"),
        ("lightgbm", "lightgbm", "lightgbm"),
        ("lightgbm", "onnxmltools", "lightgbm"),
    ],
)
def test_a_missing_library_tells_its_extra(monkeypatch, format, library, extra):
    for name in list(sys.modules):
        if name.startswith("sensorium.models.backends."):
            monkeypatch.delitem(sys.modules, name)
        elif name.partition(".")[0] == library:
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, library, None)
    if library == "onnxmltools":
        pytest.importorskip("lightgbm", reason="LightGBM is not installed: sensorium[lightgbm]")
    with pytest.raises(UnavailableError, match=rf"pip install 'sensorium\[{extra}\]'") as caught:
        backend_of(format)
    assert caught.value.details == {"missing": library}


def test_every_row_is_where_it_says():
    """What parses files in native code never does so in the server's process by default."""
    assert {format for format, row in BACKENDS.items() if row.in_process} == {"onnx"}
    for format in BACKENDS:
        row = row_of(format)
        module = row.target.partition(":")[0]
        assert module.startswith("sensorium.models.backends.")
    with pytest.raises(NotSupportedError):
        row_of("nothing")


def test_of_several_engines_the_named_one_is_taken_or_else_the_first_that_is_here(
    monkeypatch, tmp_path
):
    first, second = row_of("gguf").engines
    for module in (first.module, second.module):
        (tmp_path / f"{module}.py").touch()
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert address_of("gguf") == address_of("gguf", "xllamacpp") == first.target
    assert address_of("gguf", "llama-cpp-python") == second.target
    monkeypatch.setitem(sys.modules, first.module, None)
    assert address_of("gguf") == second.target
    with pytest.raises(UnavailableError, match=r"xllamacpp .* pip install 'sensorium\[gguf\]'"):
        address_of("gguf", "xllamacpp")
    monkeypatch.setitem(sys.modules, second.module, None)
    assert address_of("gguf") == first.target
    with pytest.raises(UnavailableError, match="pip install llama-cpp-python") as caught:
        address_of("gguf", "llama-cpp-python")
    assert caught.value.details == {"missing": "llama_cpp"}
    with pytest.raises(NotSupportedError, match="onnx"):
        address_of("onnx", "xllamacpp")
