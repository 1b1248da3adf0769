"""Small models that take pictures, made here with random weights, as their authors save them."""

import io
from pathlib import Path
from typing import Any

import pytest

WORDS = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "user", ":", "assistant", "what", "is"]
WORDS += ["this", "a", "red", "fox", "and", "system", "brief", "be", *map(str, range(200))]
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} : {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }} {% endif %}"
    "{% endfor %}{% endfor %}assistant :"
)
PLACES = [f"<loc_{number}>" for number in range(1000)]


def transformers() -> Any:
    pytest.importorskip("torch", reason="torch is not installed: sensorium[torch]")
    pytest.importorskip("PIL", reason="Pillow is not installed: sensorium[pictures]")
    return pytest.importorskip(
        "transformers", reason="transformers is not installed: sensorium[transformers]"
    )


def picture(colour: str = "red", kind: str = "PNG", size: tuple[int, int] = (30, 20)) -> bytes:
    """The file of a picture of one colour."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    file = io.BytesIO()
    image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def llava(folder: Path) -> Path:
    """A model that takes pictures in a conversation: 4 tokens each."""
    library = transformers()
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = {word: number for number, word in enumerate(WORDS)}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    processor = library.LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        library.PreTrainedTokenizerFast(
            tokenizer_object=made,
            pad_token="<pad>",
            bos_token="<s>",
            eos_token="</s>",
            unk_token="<unk>",
            extra_special_tokens={"image_token": "<image>"},
        ),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = library.LlavaConfig(
        vision_config=library.CLIPVisionConfig(
            **small, intermediate_size=32, image_size=16, patch_size=8, projection_dim=16
        ),
        text_config=library.LlamaConfig(
            **small,
            vocab_size=len(words),
            intermediate_size=32,
            num_key_value_heads=2,
            max_position_embeddings=64,
            initializer_range=0.5,
            bos_token_id=1,
            eos_token_id=2,
        ),
        image_token_index=4,
        image_seq_length=4,
        initializer_range=0.5,
    )
    library.set_seed(0)
    library.LlavaForConditionalGeneration(config).eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def florence(folder: Path, says: str = "") -> Path:
    """A model that answers to tasks about a picture; with `says`, always that, of 15 tokens."""
    library = transformers()
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<s>", "<pad>", "</s>", "<unk>", *letters]
    known = {word: number for number, word in enumerate(words)}
    made = Tokenizer(models.BPE(known, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    tokenizer = library.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=200,
        extra_special_tokens={"image_token": "<image>"},
    )
    tokenizer.add_tokens(["<poly>", "</poly>", "<and>", "<sep>", *PLACES], special_tokens=True)
    images = CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False)
    images.image_seq_length = 5
    processor = library.Florence2Processor(images, tokenizer)
    config = library.Florence2Config(
        vision_config={
            "depths": [1, 1, 1, 1],
            "embed_dim": [16, 16, 16, 16],
            "num_heads": [2, 2, 2, 2],
            "num_groups": [2, 2, 2, 2],
            "window_size": 2,
            "projection_dim": 16,
            "initializer_range": 0.5,
        },
        text_config={
            "model_type": "bart",
            "vocab_size": len(tokenizer),
            "d_model": 16,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "decoder_ffn_dim": 32,
            "max_position_embeddings": 256,
            "init_std": 0.5,
            "bos_token_id": 0,
            "pad_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
            "tie_word_embeddings": not says,
        },
        tie_word_embeddings=not says,
        image_token_id=tokenizer.image_token_id,
    )
    library.set_seed(0)
    model = library.Florence2ForConditionalGeneration(config).eval()
    if says:
        _rig(model, [*tokenizer(says, add_special_tokens=False).input_ids, 2])
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _rig(model: Any, tokens: list[int]) -> None:
    """Have its decoder know nothing but where in the text it is, and say a token for each."""
    import torch

    decoder = model.model.language_model.decoder
    with torch.no_grad():
        for name, weights in decoder.layers.named_parameters():
            if "norm" not in name:
                weights.zero_()
        model.lm_head.weight.zero_()
        decoder.embed_tokens.weight.mul_(1e-3)
        places = decoder.embed_positions.weight
        places.zero_()
        for at, token in enumerate(tokens):
            places[at + 2, at] = 1.0  # the first two stand for nothing
            model.lm_head.weight[token, at] += 1.0
