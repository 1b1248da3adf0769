"""Models of transformers, made here but for the small language model beside the project."""

import asyncio
import json
import shutil
import threading
import time

import numpy as np
import pytest

from sensorium.core.asking import Embed
from sensorium.core.errors import InvalidInputError, NotSupportedError, UnavailableError
from sensorium.core.generation import Generation, Piece
from sensorium.models.answering import answer
from sensorium.models.backends.base import LoadOptions
from sensorium.models.placement.process import InProcess
from tests.models.backends.contract import (
    FEW_CYCLES,
    OPTIONS,
    Case,
    TensorContract,
    artifact,
    load,
)
from tests.models.backends.text_contract import TextContract, generated, text_of
from tests.servers import ROOT

torch = pytest.importorskip("torch", reason="torch is not installed: sensorium[torch]")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed: sensorium[transformers]"
)
TINYLM = ROOT.parent / "shared/models/tinylm"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "one", "two", "three", "a", "text", "that", "is"]
WORDS += ["rather", "longer", "0", ".", *(str(number) for number in range(1, 1000))]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {word: number for number, word in enumerate(WORDS)}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    whole = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=24,
    )
    whole.save_pretrained(folder)
    return whole


def bert(folder, kind="BertModel", **more):
    """A small model with random weights, as its authors would save it."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.5,
        **more,
    )
    model = getattr(transformers, kind)(config).eval()
    model.save_pretrained(folder)
    return model, tokenizer(folder)


@pytest.fixture(scope="session")
def tinylm(tmp_path_factory):
    """The small language model, told that its texts begin with a token of their own."""
    if not TINYLM.is_dir():
        pytest.skip("the small language model that lies beside the project is not here")
    folder = tmp_path_factory.mktemp("models") / "tinylm"
    shutil.copytree(TINYLM / "hf-f16", folder)
    for file in (folder, *folder.iterdir()):
        file.chmod(0o755)
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "add_bos_token": True}))
    return folder


class TestLanguageModel(TextContract):
    @pytest.fixture
    def made(self, tinylm):
        return artifact(tinylm, "transformers")


def test_greedy_tokens_are_those_of_the_library(tinylm):
    model = load(artifact(tinylm, "transformers"))
    for question, known in json.loads((TINYLM / "greedy_hf.json").read_text()).items():
        asked = {"messages": [{"role": "user", "content": question}]}
        if 3 in known["prompt_ids"]:  # it has a system's message too
            asked = {"prompt": model.detokenize(known["prompt_ids"])}
        pieces = generated(model, **asked, max_tokens=128, temperature=0.0)
        tokens = [token for piece in pieces for token in piece.tokens]
        assert tokens == [each for each in known["gen_ids"] if each != 2]
        assert text_of(pieces).strip() == known["text"]
        assert pieces[-1].prompt_tokens == len(known["prompt_ids"])
        assert pieces[-1].finish == ("stop" if known["gen_ids"][-1] == 2 else "length")


def test_likelihoods_are_the_models_own(tinylm):
    made = transformers.AutoModelForCausalLM.from_pretrained(tinylm, dtype="auto").eval()
    model = load(artifact(tinylm, "transformers"))
    task = {"prompt": "The capital", "max_tokens": 1, "temperature": 1.5, "logprobs": 5}
    piece = generated(model, seed=3, logit_bias={"7": -100.0}, **task)[0]
    ids = torch.tensor([[1, *model.tokenize("The capital")]])
    with torch.inference_mode():
        expected = torch.log_softmax(made(ids).logits[0, -1].float(), dim=-1)
    (step,) = piece.steps
    assert step.top[0].token == int(expected.argmax())
    for each in (*step.top, step.chosen):
        assert abs(each.logprob - float(expected[each.token])) < 1e-2


@pytest.mark.parametrize(
    "task",
    [
        {"temperature": 0.0},
        {"seed": 1, "temperature": 1.5},
        {"seed": 1, "presence_penalty": 0.5, "frequency_penalty": 0.5, "repeat_penalty": 1.2},
        {"temperature": 0.0, "logprobs": 5},
    ],
)
def test_a_token_is_looked_at_once_where_it_was_computed(tinylm, task):
    """Each look waits for a GPU; one more is the library's own, whether the text is done."""
    model = load(artifact(tinylm, "transformers"))
    endless = {"logit_bias": {"0": -100.0, "1": -100.0, "2": -100.0}, "max_tokens": 20}
    generated(model, prompt="Once upon a time", **endless, **task)  # what is looked up once
    with torch.autograd.profiler.profile() as seen:
        pieces = generated(model, prompt="Once upon a time", **endless, **task)
    assert pieces[-1].generated_tokens == 20
    looks = [each for each in seen.function_events if each.name == "aten::_local_scalar_dense"]
    assert len(looks) <= 20 + 5


def test_sampling_does_what_it_says(tinylm):
    model = load(artifact(tinylm, "transformers"))
    prompt = "Once upon"
    task = {"prompt": prompt, "max_tokens": 1, "logprobs": 20, "temperature": 5.0, "min_p": 0.0}

    def chosen(**more):
        found = set()
        for seed in range(40):
            piece = generated(model, seed=seed, **{**task, **more})[0]
            found.add(piece.tokens[0])
        return found

    likely = [each.token for each in generated(model, **task)[0].steps[0].top]
    assert len(chosen(top_k=0, top_p=1.0)) > 10
    assert chosen(top_k=3, top_p=1.0) == set(likely[:3])
    assert chosen(top_k=0, top_p=0.0) == {likely[0]}
    assert chosen(top_k=0, top_p=1.0, min_p=1.0) == {likely[0]}
    assert chosen(temperature=0.0, logit_bias={str(likely[0]): -100.0}) == {likely[1]}
    assert chosen(temperature=0.0, logit_bias={str(likely[9]): 100.0}) == {likely[9]}
    with pytest.raises(InvalidInputError, match="no token '99999999'"):
        generated(model, prompt=prompt, logit_bias={"99999999": 1.0})


def test_penalties_keep_it_from_repeating(tinylm):
    model = load(artifact(tinylm, "transformers"))
    task = {"prompt": "a a a a", "max_tokens": 20, "temperature": 0.0, "logit_bias": {"2": -100.0}}

    def distinct(**more):
        pieces = generated(model, **task, **more)
        return len({token for piece in pieces for token in piece.tokens})

    usual = distinct()
    assert distinct(presence_penalty=2.0, frequency_penalty=2.0) > usual
    assert distinct(repeat_penalty=5.0) > usual


def test_no_source_of_chance_is_shared(tinylm):
    model = load(artifact(tinylm, "transformers"))
    before = torch.random.get_rng_state()
    generated(model, prompt="a", max_tokens=3, temperature=2.0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_prompt_that_is_too_long(tinylm):
    model = load(artifact(tinylm, "transformers"), LoadOptions(context=20))
    with pytest.raises(InvalidInputError, match="and the model's context 20"):
        generated(model, prompt="one " * 40)
    pieces = generated(model, prompt="one two", max_tokens=100, logit_bias={"2": -100.0})
    last = pieces[-1]
    assert last.finish == "length"
    assert last.prompt_tokens + last.generated_tokens == 20


def test_schemas_are_for_another_backend(tinylm):
    model = load(artifact(tinylm, "transformers"))
    for more in ({"json_schema": {"type": "object"}}, {"grammar": 'root ::= "a"'}):
        with pytest.raises(NotSupportedError, match="GGUF"):
            generated(model, prompt="a", **more)


def test_a_text_that_waits_its_turn_can_be_given_up(tinylm):
    model = load(artifact(tinylm, "transformers"))
    running, ended = threading.Event(), threading.Event()
    done = []

    def first(piece):
        running.set()
        return not ended.wait(0.05)

    long = Generation(prompt="a", max_tokens=200, logit_bias={"2": -100.0})
    thread = threading.Thread(target=model.generate, args=(long, first))
    thread.start()
    assert running.wait(100)
    model.generate(Generation(prompt="b"), lambda piece: done.append(piece) or False)
    assert done == [Piece()]
    ended.set()
    thread.join(100)
    assert not thread.is_alive()


def test_reading_a_long_prompt_ends_when_nobody_waits(tinylm, monkeypatch):
    monkeypatch.setattr("sensorium.models.backends.looking.LOOK_S", 0.0)
    model = load(artifact(tinylm, "transformers"))
    seen = []
    model.generate(Generation(prompt="one " * 100), lambda piece: seen.append(piece) or False)
    assert seen == [Piece()], "it ended before the first token"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ ''.__class__.__mro__ }}", "may not have"),
        ("{{ messages.__init__.__globals__ }}", "may not have"),
        ("{% for i in range(10**9) %}{% endfor %}", "Range too big"),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{% if %}", "is none"),
    ],
)
def test_templates_are_kept_in_their_sandbox(tinylm, tmp_path, template, reason):
    folder = tmp_path / "model"
    shutil.copytree(tinylm, folder)
    (folder / "chat_template.jinja").write_text(template)
    model = load(artifact(folder, "transformers"))
    with pytest.raises(InvalidInputError, match=reason):
        generated(model, messages=[{"role": "user", "content": "hello"}])
    assert generated(model, prompt="a", max_tokens=1)[-1].finish


def test_without_a_template_there_are_no_conversations(tinylm, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tinylm, folder)
    (folder / "chat_template.jinja").unlink()
    model = load(artifact(folder, "transformers"))
    with pytest.raises(InvalidInputError, match="no chat template"):
        generated(model, messages=[{"role": "user", "content": "hello"}])


class TestEncoder(TextContract):
    generates = False
    embeds = True

    @pytest.fixture
    def made(self, tmp_path):
        bert(tmp_path / "model")
        return artifact(tmp_path / "model", "transformers")


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token", "max_tokens", "lasttoken"])
def test_embeddings_are_pooled_as_the_folder_says(tmp_path, pooling):
    folder = tmp_path / "model"
    made, words = bert(folder)
    kinds = ["Transformer", "Pooling", "Normalize"]
    paths = ["", "1_Pooling", "2_Normalize"]
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 8}')
    (folder / "1_Pooling").mkdir()
    modes = {"pooling_mode_mean_tokens": False, f"pooling_mode_{pooling}": True}
    settings = {"word_embedding_dimension": 16, **modes}
    (folder / "1_Pooling/config.json").write_text(json.dumps(settings))
    model = load(artifact(folder, "transformers"))
    texts = ["one two three", "one", "a text that is"]
    found, read = model.embed(texts)
    assert read > 0
    for text, vector in zip(texts, found, strict=True):
        with torch.inference_mode():
            hidden = made(**words(text, return_tensors="pt")).last_hidden_state[0]
        expected = {
            "mean_tokens": hidden.mean(0),
            "cls_token": hidden[0],
            "max_tokens": hidden.amax(0),
            "lasttoken": hidden[-1],
        }[pooling]
        expected = torch.nn.functional.normalize(expected, dim=0).numpy()
        np.testing.assert_allclose(vector, expected, atol=1e-5)
    with pytest.raises(InvalidInputError, match="a text has 10 tokens, and the model takes 8"):
        model.embed(["one", "one " * 8])
    cut = answer(model, Embed(texts=["one", "one " * 8], truncate=True))
    np.testing.assert_array_equal(
        np.frombuffer(cut.data, np.float32), model.embed(["one", "one " * 6])[0].ravel()
    )
    settings["pooling_mode_weightedmean_tokens"] = True
    (folder / "1_Pooling/config.json").write_text(json.dumps(settings))
    with pytest.raises(InvalidInputError, match="pools in a way"):
        load(artifact(folder, "transformers"))


class TestClassifier(TensorContract):
    cycles = FEW_CYCLES

    @pytest.fixture
    def case(self, tmp_path):
        labels = {0: "good", 1: "bad", 2: "nothing"}
        folder = tmp_path / "model"
        made, words = bert(
            folder,
            "BertForSequenceClassification",
            id2label=labels,
            label2id={label: number for number, label in labels.items()},
        )

        def expected(x):
            scores = []
            for text in x["text"]:
                with torch.inference_mode():
                    logits = made(**words(text.decode(), return_tensors="pt")).logits
                scores.append(torch.softmax(logits[0], dim=-1).numpy())
            whole = np.stack(scores)
            names = [labels[number].encode() for number in whole.argmax(1)]
            return {"scores": whole, "label": np.array(names, dtype=object)}

        texts = ["one two", "three", "a text that is rather longer", "one"]
        return Case(
            artifact(folder, "transformers"),
            lambda rows: {"text": np.array([each.encode() for each in texts[:rows]], object)},
            expected,
            rtol=1e-4,
        )

    def test_damaged_files_are_typed_errors(self, case, tmp_path):
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            for damage in (b"", b"{}", b"\x00" * 100, b"\xff" * 8 + b"{}"):
                folder = tmp_path / "damaged"
                shutil.copytree(case.artifact.path, folder)
                (folder / name).write_bytes(damage)
                with pytest.raises(InvalidInputError) as caught:
                    load(artifact(folder, "transformers"))
                assert str(tmp_path) not in caught.value.message
                shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("more", "check"),
    [
        ({"num_labels": 1}, lambda scores: scores.shape[1] == 1),
        (
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            lambda scores: (scores > 0).all() and abs(scores.sum(1) - 1).max() > 1e-3,
        ),
        ({"num_labels": 3, "problem_type": "regression"}, lambda scores: scores.min() < 0),
    ],
)
def test_other_ways_to_classify(tmp_path, more, check):
    bert(tmp_path / "model", "BertForSequenceClassification", **more)
    model = load(artifact(tmp_path / "model", "transformers"))
    texts = np.array([b"one two", b"three", b"text"], object)
    assert check(model.infer({"text": texts}, ["scores"])["scores"])
    empty = model.infer({"text": texts[:0]}, ["scores", "label"])
    assert (empty["scores"].shape[0], len(empty["label"])) == (0, 0)


def test_weights_that_are_not_there_are_never_made_up(tmp_path):
    folder = tmp_path / "model"
    bert(folder)
    config = json.loads((folder / "config.json").read_text())
    for changed in (
        {"architectures": ["BertForSequenceClassification"]},
        {"num_hidden_layers": 3},
        {"intermediate_size": 64},
    ):
        (folder / "config.json").write_text(json.dumps({**config, **changed}))
        with pytest.raises(InvalidInputError):
            load(artifact(folder, "transformers"))
    (folder / "config.json").write_text(json.dumps(config))
    load(artifact(folder, "transformers")).close()


def test_code_and_pickles_are_never_loaded(tmp_path):
    folder = tmp_path / "model"
    bert(folder)
    canary = tmp_path / "canary"
    (folder / "modeling_evil.py").write_text(f"open({str(canary)!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((folder / "config.json").read_text())
    code = {"auto_map": {"AutoModel": "modeling_evil.Evil", "AutoConfig": "modeling_evil.Evil"}}
    (folder / "config.json").write_text(json.dumps({**config, **code, "model_type": "evil"}))
    with pytest.raises(InvalidInputError, match="code of its own, which is never run"):
        load(artifact(folder, "transformers"))
    (folder / "config.json").write_text(json.dumps({**config, **code}))
    load(artifact(folder, "transformers")).close()  # the library's own code for it is run
    assert not canary.exists()
    kernel = {"attn_implementation": "somebody/kernel"}
    for named in (kernel, {"text_config": kernel}):
        (folder / "config.json").write_text(json.dumps({**config, **named}))
        with pytest.raises(InvalidInputError, match="code of another place"):
            load(artifact(folder, "transformers"))
    (folder / "config.json").write_text(json.dumps(config))
    weights = folder / "model.safetensors"
    torch.save({"x": torch.ones(1)}, folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(InvalidInputError, match="pickles are never loaded"):
        load(artifact(folder, "transformers"))


@pytest.mark.parametrize(
    ("config", "error", "reason"),
    [
        (
            {"quant_method": "compressed-tensors"},
            UnavailableError,
            "needs compressed_tensors: pip install",
        ),
        ({"quant_method": "strange"}, InvalidInputError, "'strange', which is not run"),
    ],
)
def test_quantisation_says_what_it_needs(tmp_path, config, error, reason):
    folder = tmp_path / "model"
    bert(folder)
    whole = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**whole, "quantization_config": config}))
    with pytest.raises(error, match=reason):
        load(artifact(folder, "transformers"))


def test_quantised_weights_are_run_where_their_library_is(tinylm, tmp_path):
    reason = "bitsandbytes is not installed: sensorium[transformers]"
    pytest.importorskip("bitsandbytes", reason=reason)
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    folder = tmp_path / "model"
    shutil.copytree(tinylm, folder)
    how = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    made = transformers.AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=how, device_map="cpu"
    )
    (folder / "model.safetensors").unlink()
    made.save_pretrained(folder)
    model = load(artifact(folder, "transformers"))
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    pieces = generated(model, messages=messages, max_tokens=20, temperature=0.0)
    assert text_of(pieces) == "The capital of France is Paris."


def test_kinds_that_are_not_run(tmp_path):
    folder = tmp_path / "model"
    bert(folder, "BertForTokenClassification")
    with pytest.raises(InvalidInputError, match="it is a BertForTokenClassification"):
        load(artifact(folder, "transformers"))
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="merge it"):
        load(artifact(folder, "transformers"))


def test_what_computes_is_never_the_cpu_in_silence(tmp_path):
    bert(tmp_path / "model")
    made = artifact(tmp_path / "model", "transformers")
    with pytest.raises(UnavailableError, match="mps is not available"):
        load(made, LoadOptions(providers=["mps"]))
    model = load(made, LoadOptions(providers=["mps"], fallback=True))
    assert model.spec.providers == ["cpu"]
    assert model.spec.degraded.startswith("mps: ")


def test_a_cancelled_text_ends_and_the_process_lives(tinylm):
    async def run():
        placed = await InProcess.load(artifact(tinylm, "transformers"), OPTIONS, text=True)
        try:
            before = placed.pid
            task = Generation(prompt="a", max_tokens=200, logit_bias={"2": -100.0})
            pieces = placed.generate(task)
            await anext(pieces)
            began = time.perf_counter()
            await pieces.aclose()
            found = [piece async for piece in placed.generate(Generation(prompt="b", max_tokens=1))]
            assert found[-1].finish
            assert placed.pid == before
            return time.perf_counter() - began
        finally:
            await placed.close()

    assert asyncio.run(run()) < 30.0
