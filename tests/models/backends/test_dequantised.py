"""GPTQ and AWQ models, packed here, against models with the same rounded weights."""

import json

import numpy as np
import pytest

from sensorium.core.errors import InvalidInputError
from sensorium.models.backends.base import LoadOptions
from sensorium.models.dequantising import KERNELS, is_dequantised
from sensorium.models.weighing import weigh
from tests.models.backends.contract import artifact, load
from tests.models.backends.test_transformers import WORDS, tokenizer
from tests.models.backends.text_contract import generated

torch = pytest.importorskip("torch", reason="torch is not installed: sensorium[torch]")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed: sensorium[transformers]"
)
from safetensors.torch import load_file, save_file  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.skipif(not is_dequantised("gptq"), reason=f"{KERNELS['gptq']} is installed"),
]
LINEAR = ("_proj.weight",)
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": True}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}


def llama(dtype="float32", kind="LlamaForCausalLM"):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=96,
        max_position_embeddings=64,
        initializer_range=0.3,
        bos_token_id=2,
        eos_token_id=3,
        dtype=dtype,
    )
    return getattr(transformers, kind)(config).to(getattr(torch, dtype)).eval()


def rounded(weight, bits, groups, *, symmetric):
    """Numbers, zero points and scales of a weight (inputs, outputs), and what they stand for."""
    most = (1 << bits) - 1
    count = int(groups.max()) + 1
    scales = np.zeros((count, weight.shape[1]), np.float16)
    zeros = np.zeros((count, weight.shape[1]), np.int64)
    for group in range(count):
        rows = weight[groups == group]
        if symmetric:
            scales[group] = 2 * np.abs(rows).max(0) / most
            zeros[group] = (most + 1) // 2
        else:
            low, high = np.minimum(rows.min(0), 0), np.maximum(rows.max(0), 0)
            scales[group] = (high - low) / most
            zeros[group] = np.clip(np.round(-low / scales[group].astype(np.float32)), 1, most)
    wide = scales.astype(np.float32)[groups]
    numbers = np.clip(np.round(weight / wide) + zeros[groups], 0, most).astype(np.int64)
    return numbers, zeros, scales, ((numbers - zeros[groups]) * wide).astype(np.float32)


def packed(numbers, bits, order):
    """Neighbours in a row put into words, the plainest way; `order` is where in a row each lies."""
    count = len(order)
    words = np.zeros((numbers.shape[0], numbers.shape[1] // count), np.uint32)
    for column in range(words.shape[1]):
        for place, source in enumerate(order):
            values = numbers[:, column * count + source].astype(np.uint32)
            words[:, column] |= values << np.uint32(bits * place)
    return torch.from_numpy(words.view(np.int32).copy())


def parts_of(weight, told):
    """A layer's tensors as the method stores them, and the weight that they stand for."""
    bits, inputs = told["bits"], weight.shape[0]
    size = inputs if told["group_size"] == -1 else told["group_size"]
    groups = np.arange(inputs) // size
    if told.get("desc_act"):
        groups = np.random.default_rng(inputs).permutation(groups)
    symmetric = told.get("sym", False)
    numbers, zeros, scales, plain = rounded(weight, bits, groups, symmetric=symmetric)
    straight = list(range(32 // bits))
    made = {"scales": torch.from_numpy(scales)}
    if told["quant_method"] == "gptq":
        stored = zeros - (told.get("checkpoint_format", "gptq") == "gptq")
        made["qweight"] = packed(numbers.T.copy(), bits, straight).T.contiguous()
        made["qzeros"] = packed(stored, bits, straight)
        if told.get("has_groups", True):
            made["g_idx"] = torch.from_numpy(groups.astype(np.int32))
    else:
        made["qweight"] = packed(numbers, bits, AWQ_ORDER)
        made["qzeros"] = packed(zeros, bits, AWQ_ORDER)
    return made, plain


def quantise(folder, told, **more):
    """A quantised model in a folder, and one with the same weights, rounded."""
    model = llama(**more)
    tensors = {}
    state = model.state_dict()
    for name, value in state.items():
        if name.endswith(LINEAR):
            made, plain = parts_of(value.float().numpy().T, told)
            tensors |= {f"{name.removesuffix('weight')}{each}": made[each] for each in made}
            state[name] = torch.from_numpy(plain.T.copy()).to(value.dtype)
        else:
            tensors[name] = value.clone()
    model.load_state_dict(state)
    folder.mkdir()
    model.config.save_pretrained(folder)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    told = {key: value for key, value in told.items() if key != "has_groups"}
    change(folder, told, architectures=[more.get("kind", "LlamaForCausalLM")])
    tokenizer(folder)
    return model


def change(folder, told, **more):
    config = json.loads((folder / "config.json").read_text())
    config |= {"quantization_config": told, **more}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "told",
    [
        GPTQ,
        {**GPTQ, "has_groups": False},
        {**GPTQ, "desc_act": True},
        {**GPTQ, "sym": False},
        {**GPTQ, "sym": False, "checkpoint_format": "gptq_v2"},
        {**GPTQ, "bits": 8, "group_size": 16},
        {**GPTQ, "bits": 8, "sym": False, "desc_act": True},
        {**GPTQ, "bits": 2},
        {**GPTQ, "group_size": -1},
        AWQ,
        {**AWQ, "group_size": 16},
        {**AWQ, "group_size": -1},
    ],
    ids=lambda told: "-".join(str(each) for each in told.values()),
)
def test_it_computes_what_the_rounded_weights_do(tmp_path, told):
    expected = quantise(tmp_path / "model", told)
    found = load(artifact(tmp_path / "model", "transformers"))
    ids = torch.tensor([[2, 4, 5, 6, 7, 8, 9]])
    with torch.inference_mode():
        torch.testing.assert_close(
            found._turns._model(ids).logits, expected(ids).logits, rtol=1e-5, atol=1e-5
        )
    assert not any("q_weight" in name for name in found._turns._model.state_dict())
    assert generated(found, prompt="one two", max_tokens=4)[-1].finish


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_have_the_type_of_the_model(tmp_path, dtype):
    expected = quantise(tmp_path / "model", AWQ, dtype=dtype)
    found = load(artifact(tmp_path / "model", "transformers"))._turns._model.state_dict()
    for name, value in expected.state_dict().items():
        assert found[name].dtype is value.dtype
        assert torch.equal(found[name], value), name


def test_more_output_features_than_are_dequantised_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("sensorium.models.backends.quantised_layouts.BLOCK", 32)
    for number, told in enumerate((AWQ, {**GPTQ, "desc_act": True})):
        folder = tmp_path / str(number)
        expected = quantise(folder, told).state_dict()
        found = load(artifact(folder, "transformers"))._turns._model.state_dict()
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_encoders_and_shards_too(tmp_path):
    folder = tmp_path / "model"
    expected = quantise(folder, GPTQ, kind="LlamaModel").state_dict()
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {"one.safetensors": names[::2], "two.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: tensors[name] for name in held}, folder / file, {"format": "pt"})
    mapped = {name: file for file, held in shards.items() for name in held}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": mapped}))
    model = load(artifact(folder, "transformers"))
    assert model.embed(["one two"])[0].shape == (1, 64)
    found = model._encoder._turns._model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    mapped[names[0]] = "../one.safetensors"
    index.write_text(json.dumps({"metadata": {}, "weight_map": mapped}))
    with pytest.raises(InvalidInputError, match="no file beside it"):
        load(artifact(folder, "transformers"))


def test_what_it_costs_is_said_and_weighed(tmp_path):
    folder = tmp_path / "model"
    model = quantise(folder, AWQ, dtype="float16")
    made = artifact(folder, "transformers")
    spec = load(made).spec
    plain = sum(each.nbytes for each in model.state_dict().values())
    times = plain / sum(each.nbytes for each in load_file(folder / "model.safetensors").values())
    assert (
        spec.degraded == f"dequantised on load: it takes {times:.1f} times the memory of its file"
    )
    assert times > 1.1
    whole = weigh(made, LoadOptions())
    model.save_pretrained(tmp_path / "plain")
    tokenizer(tmp_path / "plain")
    file = (tmp_path / "plain/model.safetensors").stat().st_size
    expected = weigh(artifact(tmp_path / "plain", "transformers"), LoadOptions())
    assert abs(whole - (expected - file + plain)) < 16, "alike, but for the header of the file"


def damage(folder, **changed):
    """One layer's parts changed; None takes a part away."""
    tensors = load_file(folder / "model.safetensors")
    for part, make in changed.items():
        name = f"model.layers.0.mlp.up_proj.{part}"
        old = tensors.pop(name)
        new = make(old)
        if new is not None:
            tensors[name] = new.contiguous()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("told", "changed", "reason"),
    [
        (GPTQ, {"qweight": lambda old: old[1:]}, "g_idx has not one group"),
        (GPTQ, {"qweight": lambda old: old[:4]}, "its scales are"),
        (GPTQ, {"qweight": lambda old: old.float()}, "not of int32"),
        (GPTQ, {"qweight": lambda old: old.flatten()}, "no matrices"),
        (GPTQ, {"qweight": lambda old: old[:, :8], "scales": lambda old: old[:, :8]}, "its scales"),
        (
            GPTQ,
            {
                "qweight": lambda old: old[:, :92],
                "scales": lambda old: old[:, :92],
                "qzeros": lambda old: old[:, :11],
            },
            "92 output features, whose zero points fill no whole words of 8",
        ),
        (GPTQ, {"scales": lambda old: old[:1]}, "its scales are"),
        (GPTQ, {"scales": lambda _: None}, "has no scales"),
        (GPTQ, {"qzeros": lambda _: None}, "has no qzeros"),
        (GPTQ, {"qweight": lambda _: None}, "has no qweight"),
        (GPTQ, {"g_idx": lambda old: old + 1}, "groups that are not there"),
        (GPTQ, {"g_idx": lambda old: old - 1}, "groups that are not there"),
        (GPTQ, {"g_idx": lambda old: old[1:]}, "g_idx has not one group"),
        (AWQ, {"qweight": lambda old: old[:, 1:]}, "its scales are"),
        (AWQ, {"qzeros": lambda old: old[:, 1:]}, "its scales are"),
        (
            AWQ,
            dict.fromkeys(("qweight", "qzeros", "scales"), lambda _: None),
            "up_proj.weight",
        ),
        (
            AWQ,
            {
                "qweight": lambda old: old[:, :-1],
                "qzeros": lambda old: old[:, :-1],
                "scales": lambda old: old[:, :-8],
            },
            "cannot load it|do not fit its config",
        ),
    ],
)
def test_damaged_layers_are_typed_errors(tmp_path, told, changed, reason):
    folder = tmp_path / "model"
    quantise(folder, told)
    damage(folder, **changed)
    with pytest.raises(InvalidInputError, match=reason) as caught:
        load(artifact(folder, "transformers"))
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({**GPTQ, "bits": 3}, "have 3 bits by gptq; dequantised are 2, 4, 8"),
        ({**AWQ, "bits": 8}, "have 8 bits by awq; dequantised are 4"),
        ({**GPTQ, "bits": "4"}, "dequantised are"),
        ({**GPTQ, "bits": [4]}, "dequantised are"),
        ({**GPTQ, "bits": 4.0}, "dequantised are"),
        ({**GPTQ, "bits": 8}, "its scales are"),
        ({**GPTQ, "group_size": 64}, "its scales are"),
        ({**GPTQ, "group_size": -1}, "its scales are"),
        ({**GPTQ, "group_size": 0}, "no size"),
        ({**GPTQ, "group_size": 1e9}, "no size"),
        ({**GPTQ, "group_size": True}, "no size"),
        ({**GPTQ, "checkpoint_format": "marlin"}, "packed as 'marlin'"),
        ({**GPTQ, "pack_dtype": "int16"}, "packed as 'gptq'"),
        ({**GPTQ, "dynamic": {"+:up": {"bits": 8}}}, "in different ways"),
        ({**AWQ, "version": "gemv"}, "packed as 'gemv'"),
        ({**AWQ, "group_size": 64}, "its scales are"),
    ],
)
def test_layouts_that_are_not_run_are_typed_errors(tmp_path, told, reason):
    folder = tmp_path / "model"
    quantise(folder, GPTQ if told["quant_method"] == "gptq" else AWQ)
    change(folder, told)
    with pytest.raises(InvalidInputError, match=reason):
        load(artifact(folder, "transformers"))


def test_a_file_cut_short_is_a_typed_error(tmp_path):
    folder = tmp_path / "model"
    quantise(folder, AWQ)
    whole = (folder / "model.safetensors").read_bytes()
    for cut in (len(whole) // 2, 100, 4, 0):
        (folder / "model.safetensors").write_bytes(whole[:cut])
        with pytest.raises(InvalidInputError) as caught:
            load(artifact(folder, "transformers"))
        assert str(tmp_path) not in caught.value.message
