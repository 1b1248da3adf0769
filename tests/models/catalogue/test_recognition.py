"""Models told by the names of their files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorium.models.catalogue.paths import is_safe
from sensorium.models.catalogue.recognition import Found, matching, models_among, suffix_format


def kinds(*paths: str, trees: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return [(found.format, found.path) for found in models_among(paths, trees)]


def test_formats_by_their_files() -> None:
    assert kinds("m.onnx") == [("onnx", "m.onnx")]
    assert kinds("a/M.GGUF") == [("gguf", "a/M.GGUF")]
    assert kinds("config.json", "model.safetensors", "x.onnx") == [("transformers", "")]
    assert kinds("model.safetensors") == []
    assert kinds("config.json", "adapter_model.safetensors") == []
    assert kinds("remote.toml", "m.onnx") == [("remote", "remote.toml")]
    assert kinds("sub/remote.toml") == []
    assert kinds("t.txt", trees=("t.txt",)) == [("lightgbm", "t.txt")]
    assert kinds("t.txt", "README.md") == []
    assert kinds("x.lgb", "y.tflite", "z.task", "p.pt", "q.pt2") == [
        ("torchscript", "p.pt"),
        ("torchscript", "q.pt2"),
        ("lightgbm", "x.lgb"),
        ("litert", "y.tflite"),
        ("mediapipe", "z.task"),
    ]


def test_a_tokenizer_by_itself_is_a_model_and_beside_weights_a_part_of_one() -> None:
    alone = ["tokenizer.json", "tokenizer_config.json", "config.json", "README.md"]
    weights = ("tokenizer.json", "tokenizer_config.json")
    assert models_among(alone) == [Found("tokenizer", "tokenizer.json", weights)]
    for file in ("pytorch_model.bin", "adapter_model.safetensors", "mmproj-m.gguf"):
        assert kinds(*alone, file) == []
    assert kinds(*alone, "m.onnx") == [("onnx", "m.onnx")]
    assert kinds("sub/tokenizer.json") == []


def test_shards_are_one_model() -> None:
    names = [f"m-0000{n}-of-00002.gguf" for n in (1, 2)]
    whole = [*names, "mmproj-m.gguf"]
    assert models_among(whole) == [Found("gguf", names[0], tuple(whole))]
    assert models_among(names)[0].variant == "m"
    assert models_among(names[:1]) == []
    assert models_among(["m-00001-of-99999.gguf"] * 3) == []


@pytest.mark.parametrize(
    ("model", "projectors", "taken"),
    [
        ("m-q4.gguf", ["mmproj-BF16.gguf", "mmproj-F16.gguf", "mmproj-F32.gguf"], 1),
        ("m-bf16.gguf", ["mmproj-m-Q8_0.gguf", "mmproj-m-bf16.gguf", "mmproj-m-f32.gguf"], 1),
        ("m-bf16.gguf", ["mmproj-m-f16.gguf", "mmproj-m-bf16.gguf"], 0),
        ("m-q4.gguf", ["mmproj-m-q4_0.gguf", "mmproj-m-q8_0.gguf"], 1),
        ("a-4b-q4.gguf", ["mmproj-a-12b-f16.gguf", "mmproj-a-4b-q8_0.gguf"], 1),
        ("a-4b.Q4_K_S.gguf", ["a-4b.mmproj-Q8_0.gguf", "a-4b.mmproj-f16.gguf"], 1),
        ("A-Instruct-Q4.gguf", ["A-Instruct-mmproj-f16.gguf"], 0),
        ("x/m.gguf", ["mmproj-f16.gguf", "x/mmproj-f32.gguf", "y/mmproj-f16.gguf"], 1),
        ("x/m.gguf", ["y/mmproj-f16.gguf", "mmproj.gguf"], 1),
        ("m.gguf", ["y/mmproj-f16.gguf"], None),
        ("m.gguf", ["mmproj.txt"], None),
    ],
)
def test_a_projector_goes_with_a_model(
    model: str, projectors: list[str], taken: int | None
) -> None:
    weights = (model,) if taken is None else (model, projectors[taken])
    for paths in ([model, *projectors], [*reversed(projectors), model]):
        assert models_among(paths) == [Found("gguf", model, weights)]


def test_a_projector_of_another_model_is_left_to_that() -> None:
    models = ["a-12b-it-q4.gguf", "a-4b-it-f16.gguf", "a-4b-it-q4.gguf", "b.gguf"]
    beside = ["mmproj-a-4b-it-fp16.gguf", "mmproj-c-f16.gguf"]
    taken = {found.path: found.weights[1:] for found in models_among([*models, beside[0]])}
    assert taken == dict.fromkeys(models, ()) | dict.fromkeys(models[1:3], (beside[0],))
    found = models_among([models[3], beside[1]])
    assert found[0].weights == (models[3], beside[1])  # a name that says nothing of the only one


def test_a_name_that_only_looks_like_a_projectors() -> None:
    assert kinds("commproject-f16.gguf") == [("gguf", "commproject-f16.gguf")]


MODELS = [Found("gguf", f"q/m-{tag}.gguf", ()) for tag in ("Q4_K_M", "Q4_K_S", "q8_0")]


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("q/m-Q4_K_M.gguf", ["q/m-Q4_K_M.gguf"]),
        ("m-q8_0.gguf", ["q/m-q8_0.gguf"]),
        ("m-q8_0", ["q/m-q8_0.gguf"]),
        ("q4_k_m", ["q/m-Q4_K_M.gguf"]),
        ("K_S", ["q/m-Q4_K_S.gguf"]),
        ("4_k_m", []),
        ("", []),
        ("(", []),
    ],
)
def test_a_variant_is_found_by_path_name_stem_or_end(variant: str, expected: list[str]) -> None:
    assert [found.path for found in matching(variant, MODELS)] == expected


@given(st.text(max_size=40))
def test_any_name_is_judged(name: str) -> None:
    suffix_format(name)
    models_among([name, f"{name}.onnx", f"{name}.gguf", "config.json"])
    if is_safe(name):
        assert not name.startswith(("/", "."))
        assert ".." not in name.split("/")
        assert "\0" not in name
