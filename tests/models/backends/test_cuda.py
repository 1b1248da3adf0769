"""The backends of torch on a GPU, where there is one."""

import json

import numpy as np
import pytest

from sensorium.models.backends.base import LoadOptions
from tests.models.backends.contract import artifact, load, numbers

torch = pytest.importorskip("torch", reason="torch is not installed: sensorium[torch]")
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
    pytest.mark.filterwarnings("ignore"),
]
CUDA = LoadOptions(providers=["cuda"])


def test_scripted_and_exported(tmp_path):
    from tests.models.backends import test_torchscript as made

    paths = [
        made.scripted(tmp_path / "model.pt", made.Calculator()),
        made.exported(tmp_path / "model.pt2", made.Calculator(), *made.pair()),
    ]
    for path in paths:
        model = load(artifact(path, "torchscript"), CUDA)
        assert (model.spec.providers, model.spec.degraded) == (["cuda"], "")
        found = model.infer({"a": numbers(4), "b": numbers(4) + 1}, ["sum", "product"])
        np.testing.assert_allclose(found["sum"], numbers(4) * 2 + 1, rtol=1e-5)
        held = torch.cuda.memory_allocated()
        model.close()
        assert torch.cuda.memory_allocated() <= held


def test_encoders(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    from tests.models.backends.test_transformers import bert

    folder = tmp_path / "model"
    bert(folder)
    texts = ["one two three", "one"]
    on_cpu = load(artifact(folder, "transformers")).embed(texts)
    model = load(artifact(folder, "transformers"), CUDA)
    assert model.spec.providers == ["cuda"]
    np.testing.assert_allclose(model.embed(texts), on_cpu, atol=1e-3)
    model.close()


def test_language_models(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from tests.models.backends.test_transformers import WORDS, tokenizer
    from tests.models.backends.text_contract import generated, text_of

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS), intermediate_size=64, max_position_embeddings=64, **sizes
    )
    config.eos_token_id = None
    folder = tmp_path / "model"
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer(folder)
    (folder / "generation_config.json").write_text(json.dumps({}))
    model = load(artifact(folder, "transformers"), CUDA)
    assert model.spec.providers == ["cuda"]
    task = {"prompt": "one two", "max_tokens": 8, "temperature": 2.0, "logprobs": 2}
    more = {"presence_penalty": 0.5, "repeat_penalty": 1.1, "logit_bias": {"5": 1.0}}
    texts = [text_of(generated(model, seed=seed, **task, **more)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    model.close()
