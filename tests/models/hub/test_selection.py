"""Which files of a repository are fetched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorium.core.errors import InvalidInputError, NotFoundError, SensoriumError
from sensorium.models.hub.selection import RemoteFile, select, size_text


def chosen(*paths: str, wanted: tuple[str, ...] = ()) -> tuple[str, str, list[str]]:
    """Format, path and files of the one model that is chosen."""
    (entry,) = select("org/name", [RemoteFile(path, 400_000_000) for path in paths], wanted)
    return entry.format, entry.path, list(entry.files)


BERT = (
    "README.md", ".gitattributes", "1_Pooling/config.json", "LICENSE", "config.json",
    "config_sentence_transformers.json", "model.safetensors", "modules.json", "onnx/model.onnx",
    "onnx/model_O1.onnx", "openvino/openvino_model.bin", "pytorch_model.bin", "rust_model.ot",
    "sentence_bert_config.json", "special_tokens_map.json", "tf_model.h5", "tokenizer.json",
    "tokenizer_config.json", "train_script.py", "vocab.txt",
)  # fmt: skip
BERT_COMPANIONS = [
    "1_Pooling/config.json", "LICENSE", "config.json", "config_sentence_transformers.json",
    "modules.json", "sentence_bert_config.json", "special_tokens_map.json", "tokenizer.json",
    "tokenizer_config.json", "vocab.txt",
]  # fmt: skip


def test_safetensors_are_preferred_with_their_configuration() -> None:
    files = sorted([*BERT_COMPANIONS, "model.safetensors"])
    assert chosen(*BERT) == ("transformers", "", files)


def test_a_wanted_file_wins_and_brings_what_goes_with_it() -> None:
    files = sorted([*BERT_COMPANIONS, "onnx/model.onnx"])
    assert chosen(*BERT, wanted=("onnx/model.onnx",)) == ("onnx", "onnx/model.onnx", files)
    assert chosen(*BERT, wanted=("model_O1",))[1] == "onnx/model_O1.onnx"


def test_a_tokenizer_is_fetched_where_nothing_else_is_there_or_it_is_named() -> None:
    beside = ["special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"]
    found = ("tokenizer", "tokenizer.json", sorted(["LICENSE", *beside]))
    assert chosen(*BERT, wanted=("tokenizer.json",)) == found
    assert chosen("LICENSE", "config.json", *beside) == found
    with pytest.raises(InvalidInputError, match="nothing that can be loaded"):
        chosen("config.json", "pytorch_model.bin", *beside)


@pytest.mark.parametrize("name", ["remote.toml", "Remote.TOML", "sub/remote.toml"])
def test_a_file_that_names_another_server_is_passed_over(name: str) -> None:
    assert chosen("m.gguf", name) == ("gguf", "m.gguf", ["m.gguf"])
    with pytest.raises(InvalidInputError, match="nothing that can be loaded"):
        chosen(name)
    with pytest.raises(NotFoundError, match=r"is not in org/name; there is m\.gguf"):
        chosen("m.gguf", name, wanted=(name,))


def test_shards_come_together() -> None:
    shards = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    index = "model.safetensors.index.json"
    found = chosen("config.json", index, "consolidated.safetensors", *shards)
    assert found == ("transformers", "", sorted(["config.json", index, *shards]))
    gguf = [f"q8/m-q8_0-0000{n}-of-00002.gguf" for n in (1, 2)]
    assert chosen(*gguf) == ("gguf", gguf[0], gguf)
    assert chosen(*gguf, "m-q4_0.gguf", wanted=(gguf[1],)) == ("gguf", gguf[0], gguf)
    assert chosen(*gguf, "m-q4_0.gguf", wanted=("Q8_0",)) == ("gguf", gguf[0], gguf)


def test_a_set_that_lacks_a_shard_is_no_model() -> None:
    with pytest.raises(InvalidInputError, match="nothing that can be loaded"):
        chosen("m-00001-of-00003.gguf", "m-00003-of-00003.gguf")
    with pytest.raises(InvalidInputError, match="lacks a part"):
        chosen("m-00001-of-00003.gguf", wanted=("m-00001-of-00003.gguf",))


def test_external_data_comes_with_its_onnx_file() -> None:
    data = ["onnx/model.onnx_data", "onnx/model.onnx_data_1", "onnx/model.data"]
    other = ["onnx/other.data", "model.onnx_data", "onnx/model_q4.onnx"]
    assert chosen("onnx/model.onnx", *data, *other)[2] == sorted(["onnx/model.onnx", *data])


def test_the_one_model_of_a_kind_is_chosen() -> None:
    assert chosen("a/b.onnx")[:2] == ("onnx", "a/b.onnx")
    assert chosen("x.gguf", "mmproj-x.gguf")[:2] == ("gguf", "x.gguf")
    assert chosen("x.tflite", "labels.txt")[:2] == ("litert", "x.tflite")
    assert chosen("hand.task")[:2] == ("mediapipe", "hand.task")
    assert chosen("config.json", "x.gguf", "y.pt")[:2] == ("gguf", "x.gguf")


def test_several_of_a_kind_are_listed_with_their_sizes() -> None:
    with pytest.raises(InvalidInputError) as error:
        chosen("m-q4_k_m.gguf", "m-q8_0.gguf")
    assert "hf://org/name:FILE" in error.value.message
    assert "m-q4_k_m.gguf (400 MB), m-q8_0.gguf (400 MB)" in error.value.message
    assert error.value.details["files"] == ["m-q4_k_m.gguf", "m-q8_0.gguf"]


@pytest.mark.parametrize("tag", ["q4_k_m", "Q4_K_M", "m-q4_k_m", "m-q4_k_m.gguf"])
def test_a_variant_is_named_by_the_end_of_its_name(tag: str) -> None:
    assert chosen("m-q4_k_m.gguf", "m-q8_0.gguf", wanted=(tag,))[1] == "m-q4_k_m.gguf"


def test_a_projector_comes_with_its_model() -> None:
    beside = ("mmproj-m-Q8_0.gguf", "mmproj-m-bf16.gguf", "mmproj-m-f16.gguf")
    models = ("m-F16.gguf", "m-Q4_K_M.gguf", "README.md")
    for tag, path in {"Q4_K_M": models[1], "F16": models[0], models[0]: models[0]}.items():
        assert chosen(*models, *beside, wanted=(tag,)) == ("gguf", path, [path, beside[2]])
    assert chosen("m.gguf", *beside[:2]) == ("gguf", "m.gguf", ["m.gguf", beside[1]])
    with pytest.raises(InvalidInputError, match=r"m-F16\.gguf \(800 MB\)"):
        chosen(*models, *beside)
    with pytest.raises(InvalidInputError, match="goes with a model"):
        chosen(*models, *beside, wanted=(beside[0],))
    with pytest.raises(NotFoundError, match="there is m-F16"):
        chosen(*models, *beside, wanted=("Q8_0",))


def test_a_wanted_file_that_is_not_there_or_not_alone() -> None:
    with pytest.raises(NotFoundError, match=r"is not in org/name; there is a\.gguf \(400 MB\)"):
        chosen("a.gguf", "README.md", wanted=("b.gguf",))
    with pytest.raises(NotFoundError, match="names several"):
        chosen("x/m.gguf", "y/m.gguf", wanted=("m.gguf",))
    with pytest.raises(InvalidInputError, match="no model file"):
        chosen("a.gguf", "config.json", wanted=("config.json",))


def test_pickles_are_fetched_only_when_named() -> None:
    pickles = ("config.json", "pytorch_model.bin", "model.pt", "weights.pkl", "traced.torchscript")
    with pytest.raises(InvalidInputError, match="nothing that can be loaded unasked"):
        chosen(*pickles)
    assert chosen(*pickles, wanted=("model.pt",)) == ("torchscript", "model.pt", ["model.pt"])
    for never in ("pytorch_model.bin", "weights.pkl"):
        with pytest.raises(InvalidInputError, match="no model file"):
            chosen(*pickles, wanted=(never,))


def test_names_that_leave_the_folder_are_passed_over() -> None:
    bad = ("../../x.json", "/etc/tokenizer.json", "a\\..\\config.json", "..", ".hidden/config.json")
    assert chosen("m.onnx", "config.json", "sensorium.json", *bad)[2] == ["config.json", "m.onnx"]
    with pytest.raises(InvalidInputError, match="nothing that can be loaded"):
        chosen("../../m.gguf", "/m.onnx", "C:\\m.onnx", "c:m.onnx", "a/./m.onnx", "a//m.onnx")


@given(st.lists(st.text("ab/.-0123456789ofgunxm\\:", max_size=24), max_size=8))
def test_no_list_of_files_leads_out_of_the_folder(paths: list[str]) -> None:
    names = [name + suffix for name in paths for suffix in ("", ".gguf", ".onnx")]
    try:
        entries = select("org/name", [RemoteFile(name, 1) for name in names], ())
    except SensoriumError:
        return
    for entry in entries:
        for path in entry.files:
            assert path in names
            assert not path.startswith("/")
            assert ".." not in path.split("/")
            assert "\\" not in path


def test_sizes_are_written_as_people_read_them() -> None:
    assert [size_text(n) for n in (0, 999, 397_807_936, 7e9)] == [
        "0 B",
        "999 B",
        "397.8 MB",
        "7 GB",
    ]
