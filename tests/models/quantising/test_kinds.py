"""Architectures and tokenizers, made here: llama.cpp reads the GGUF as the library does."""

import json

import pytest

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.models.backends.base import LoadOptions
from sensorium.models.headers.reading import read_header
from sensorium.models.quantising import pretokenisers
from sensorium.models.quantising.progress import Task
from sensorium.models.quantising.quantise import quantise
from tests.models.backends.contract import artifact, load
from tests.models.backends.text_contract import generated
from tests.models.hub.pulling import never

torch = pytest.importorskip("torch", reason="torch is not installed: sensorium[torch]")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed: sensorium[transformers]"
)
pytest.importorskip("gguf", reason="gguf is not installed: sensorium[quantize]")
pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
from tokenizers import (  # noqa: E402
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TEXTS = [
    "It's 12345 o'clock, WE'RE late!\n\n  Don't  wait... \t\r\n",
    "naïve café, 東京は2024年 🙂 <tool_call> x=3.14e-10;",
    "    def f(x):\n        return x**2  # done\n",
    "a" * 30 + "1" * 7,
]
WAYS = {
    "gpt-2": ("", False),
    "smollm": ("digits", False),
    "llama-bpe": (pretokenisers.LLAMA3, True),
    "smaug-bpe": (pretokenisers.LLAMA3, False),
    "qwen2": (pretokenisers.QWEN2, False),
}


def cutting(way):
    if way in ("", "digits"):
        whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(True), whole]) if way else whole
    split = pre_tokenizers.Split(Regex(way), behavior="isolated")
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([split, whole])


def tokenizer(folder, way="", *, ignores_merges=False, begins=False):
    made = Tokenizer(models.BPE(ignore_merges=ignores_merges))
    made.pre_tokenizer = cutting(way)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<|begin|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS * 3, trainer)
    made.add_tokens(["<tool_call>"])
    if begins:
        made.post_processor = processors.TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", 0)]
        )
    whole = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<|begin|>", eos_token="<|end|>"
    )
    whole.chat_template = "{{ messages[0]['content'] }}"
    whole.save_pretrained(folder)
    return whole


def model(folder, kind="Llama", **more):
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        **{
            "hidden_size": 64,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            **more,
        },
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
    )
    made = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    for name, value in made.named_parameters():
        if name.endswith("bias"):  # or they are 0
            torch.nn.init.normal_(value)
    made.save_pretrained(folder)
    return made


def converted(folder, precision="q8_0"):
    task = Task(
        root=str(folder.parent),
        model=folder.name,
        source=str(folder),
        digest="",
        licence="",
        task="",
        precision=precision,
        folder="made",
    )
    outcome = list(quantise(task, never))[-1].outcome
    return folder.parent / "made/made.gguf", outcome


@pytest.mark.parametrize(
    ("kind", "more", "context"),
    [
        ("Llama", {}, 512),
        ("Llama", {"tie_word_embeddings": True, "num_key_value_heads": 4}, 512),
        ("Llama", {"attention_bias": True, "head_dim": 32}, 512),
        ("Llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0}}, 512),
        (
            "Llama",
            {
                "rope_parameters": {
                    "rope_type": "llama3",
                    "rope_theta": 500_000.0,
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 16,
                }
            },
            512,
        ),
        ("Mistral", {"sliding_window": 128}, 128),
        ("Mistral", {"sliding_window": None, "head_dim": 32}, 512),
        ("Qwen2", {}, 512),
        ("Qwen2", {"tie_word_embeddings": True}, 512),
    ],
)
def test_likelihoods_are_the_models_own(tmp_path, kind, more, context):
    expected = model(tmp_path / "model", kind, **more)
    words = tokenizer(tmp_path / "model")
    path, outcome = converted(tmp_path / "model")
    assert outcome.tensors["Q8_0"] >= 15
    assert read_header(path, "gguf").context_length == context
    found = load(artifact(path, "gguf"), LoadOptions(threads=1, parallel=1))
    parts = [*range(2), *(each for each in range(512) if not words.decode(each).isascii())]
    silent = {str(each): -100.0 for each in (*parts, *range(len(words), 512))}
    try:
        for text in TEXTS[1:3]:
            ids = words(text, return_tensors="pt").input_ids
            with torch.inference_mode():
                logits = torch.log_softmax(expected(ids).logits[0, -1], dim=-1)
            task = {"prompt": text, "max_tokens": 1, "temperature": 0.0, "logprobs": 5}
            pieces = generated(found, **task, logit_bias=silent)
            (step,) = [step for piece in pieces for step in piece.steps]
            for each in step.top:
                assert abs(each.logprob - float(logits[each.token])) < 0.25
    finally:
        found.close()


@pytest.mark.parametrize("name", WAYS)
def test_texts_become_the_same_tokens(tmp_path, name):
    way, ignores = WAYS[name]
    begins = name == "llama-bpe"
    model(tmp_path / "model")
    words = tokenizer(tmp_path / "model", way, ignores_merges=ignores, begins=begins)
    if name == "qwen2":
        made = Tokenizer.from_file(str(tmp_path / "model/tokenizer.json"))
        made.normalizer = normalizers.NFC()
        made.save(str(tmp_path / "model/tokenizer.json"))
    path, _ = converted(tmp_path / "model")
    data = path.read_bytes()
    assert f"{name}".encode() in data
    found = load(artifact(path, "gguf"), LoadOptions(threads=1, parallel=1))
    try:
        for text in TEXTS:
            assert found.tokenize(text) == words(text, add_special_tokens=False).input_ids, text
        first = words("a").input_ids[0]
        pieces = generated(found, prompt="a", max_tokens=1)
        assert (first == 0) is begins
        assert pieces[-1].prompt_tokens == len(words("a").input_ids)
        assert read_header(path, "gguf").chat_template == words.chat_template
    finally:
        found.close()


def test_rows_that_hold_no_blocks_have_more_bits(tmp_path):
    model(tmp_path / "model")
    tokenizer(tmp_path / "model")
    _, outcome = converted(tmp_path / "model", "q4_K")
    assert "Q4_K" not in outcome.tensors
    assert outcome.kept.endswith("14 tensors in Q8_0, as their rows hold no whole blocks of 256")


def around(*single):
    return {"post_processor": {"type": "TemplateProcessing", "single": [*single]}}


def changed(folder, **parts):
    path = folder / "tokenizer.json"
    told = json.loads(path.read_text())
    told["model"] |= parts.pop("model", {})
    path.write_text(json.dumps(told | parts))


@pytest.mark.parametrize(
    ("parts", "error", "reason"),
    [
        ({"model": {"type": "Unigram"}}, NotSupportedError, "a 'Unigram'"),
        ({"model": {"byte_fallback": True}}, NotSupportedError, "as SentencePiece does"),
        ({"model": {"ignore_merges": True}}, NotSupportedError, "way that is not known"),
        ({"model": {"vocab": {"a": 9999}}}, InvalidInputError, "beyond the 512"),
        ({"model": {"vocab": {"a": -1}}}, InvalidInputError, "tokenizer.json is damaged"),
        ({"model": {"merges": [["a"]]}}, InvalidInputError, "tokenizer.json is damaged"),
        ({"pre_tokenizer": None}, NotSupportedError, "way that is not known"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, NotSupportedError, "way that is not known"),
        ({"normalizer": {"type": "Lowercase"}}, NotSupportedError, "changes texts before"),
        (around(1), InvalidInputError, r"tokenizer\.json is damaged"),
        (around({"SpecialToken": {"id": 1}}), InvalidInputError, r"tokenizer\.json is damaged"),
        (around({"SpecialToken": {"id": "<|end|>"}}), NotSupportedError, "around every text"),
        (
            {"post_processor": {"type": "Sequence", "processors": 5}},
            InvalidInputError,
            r"tokenizer\.json is damaged",
        ),
        ({"post_processor": 5}, InvalidInputError, r"tokenizer\.json is damaged"),
    ],
)
def test_tokenizers_that_are_not_converted_say_why(tmp_path, parts, error, reason):
    model(tmp_path / "model")
    tokenizer(tmp_path / "model")
    changed(tmp_path / "model", **parts)
    with pytest.raises(error, match=reason):
        converted(tmp_path / "model")
    assert not (tmp_path / "made").exists()


def test_without_a_tokenizer_there_is_none(tmp_path):
    model(tmp_path / "model")
    with pytest.raises(NotSupportedError, match=r"no tokenizer\.json"):
        converted(tmp_path / "model")


def test_shards_and_other_types_of_numbers(tmp_path):
    made = model(tmp_path / "whole")
    tokenizer(tmp_path / "whole")
    made.bfloat16().save_pretrained(tmp_path / "model", max_shard_size="100KB")
    tokenizer(tmp_path / "model")
    assert len([*(tmp_path / "model").glob("*.safetensors")]) > 1
    path, _ = converted(tmp_path / "model")
    load(artifact(path, "gguf"), LoadOptions(threads=1)).close()


def test_every_end_of_a_text_is_told(tmp_path):
    model(tmp_path / "model")
    tokenizer(tmp_path / "model")
    (tmp_path / "model/generation_config.json").write_text('{"eos_token_id": [1, 7]}')
    path, _ = converted(tmp_path / "model")
    data = path.read_bytes()
    assert b"tokenizer.ggml.eot_token_id" in data


DAMAGED = "of positions is damaged"


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"rope_parameters": {"type": "linear"}}, DAMAGED),
        ({"rope_parameters": {"rope_type": "linear", "factor": 0}}, DAMAGED),
        ({"rope_parameters": {"rope_type": "linear", "factor": "x"}}, DAMAGED),
        ({"rope_parameters": {"rope_type": "linear", "factor": 1e300}}, DAMAGED),
        ({"rope_parameters": {"rope_theta": "x"}}, DAMAGED),
        ({"rope_parameters": {"rope_theta": None}}, DAMAGED),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, DAMAGED),
        ({"rope_parameters": None, "rope_theta": "x"}, "config.json is damaged"),
        ({"rope_parameters": None, "rope_theta": 0}, "config.json is damaged"),
        ({"rms_norm_eps": 1e300}, "config.json is damaged"),
        ({"num_attention_heads": 200, "num_key_value_heads": 200}, "a length of 0"),
    ],
)
def test_a_shape_that_is_none_is_refused(tmp_path, parts, reason):
    model(tmp_path / "model")
    tokenizer(tmp_path / "model")
    path = tmp_path / "model/config.json"
    told = {key: each for key, each in json.loads(path.read_text()).items() if key != "head_dim"}
    path.write_text(json.dumps(told | parts))
    with pytest.raises(InvalidInputError, match=reason):
        converted(tmp_path / "model")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("wide", "precision", "name", "kind"),
    [
        (256, "q4_K", "model.layers.0.mlp.up_proj", "Q4_K"),
        (256, "q4_K", "model.embed_tokens", "Q8_0"),
        (64, "q8_0", "model.layers.1.self_attn.q_proj", "Q8_0"),
        (24, "q8_0", "model.layers.1.self_attn.q_proj", "F16"),
    ],
)
@pytest.mark.parametrize("number", [1e8, -1e8, 3e38])
def test_numbers_beyond_a_type_are_refused(tmp_path, wide, precision, name, kind, number):
    made = model(tmp_path / "model", hidden_size=wide, head_dim=wide // 4)
    with torch.no_grad():
        made.get_submodule(name).weight[3, 5] = number
    made.save_pretrained(tmp_path / "model")
    tokenizer(tmp_path / "model")
    with pytest.raises(InvalidInputError, match=rf"{name}.* too large for {kind}"):
        converted(tmp_path / "model", precision)
    assert not (tmp_path / "made").exists()


def test_numbers_that_are_next_to_nothing_are_converted(tmp_path):
    made = model(tmp_path / "model", hidden_size=256)
    with torch.no_grad():
        made.model.layers[0].mlp.up_proj.weight.fill_(1e-40)
    made.save_pretrained(tmp_path / "model")
    tokenizer(tmp_path / "model")
    assert converted(tmp_path / "model", "q4_K")[1].tensors["Q4_K"]
