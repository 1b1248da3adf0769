"""The tokenizer of a model as GGUF has it, from the files of transformers."""

from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct, field

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.models.folder_files import Templates, decoded, read_json, template_of
from sensorium.models.headers.header import MAX_LENGTH
from sensorium.models.quantising.pretokenisers import named
from sensorium.models.quantising.shape import Config

MAX_BYTES = 128 << 20
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""Kinds of tokens in GGUF."""
Id = Annotated[int, Meta(ge=0, le=MAX_LENGTH)]


class _Added(Struct):
    id: Id
    content: str
    special: bool = False


class _Kind(Struct):
    type: str | None = None


class _Pairs(Struct):
    """Byte-pair encoding."""

    vocab: dict[str, Id]
    merges: list[str | tuple[str, str]]
    byte_fallback: bool | None = None
    ignore_merges: bool | None = None
    continuing_subword_prefix: str | None = None
    end_of_word_suffix: str | None = None


class _Special(Struct):
    id: str


class _Part(Struct):
    """What a text gets: the text itself, or a token around it."""

    special: _Special | None = field(default=None, name="SpecialToken")


class _Processor(Struct):
    type: str = ""
    single: list[_Part] | None = None
    processors: "list[_Processor] | None" = None


class _Tokenizer(Struct):
    model: Raw
    added_tokens: list[_Added] = []
    normalizer: Any = None
    pre_tokenizer: Any = None
    post_processor: _Processor | None = None


class _Settings(Struct):
    """A `tokenizer_config.json`."""

    bos_token: Any = None
    eos_token: Any = None
    pad_token: Any = None
    add_bos_token: bool | None = None
    add_eos_token: bool | None = None
    chat_template: Templates = None


class _Ids(Struct):
    """What a `generation_config.json` tells of tokens."""

    eos_token_id: Any = None


class Vocabulary(Struct, frozen=True, kw_only=True):
    """The tokens of a model, and how a text becomes some of them."""

    pre: str
    """What llama.cpp calls the way in which a text is cut before its pairs are merged."""
    tokens: list[str]
    kinds: list[int]
    merges: list[str]
    special: dict[str, int]
    """By what they are for: `bos`, `eos`, `pad`, `eot`."""
    begins: bool
    """Whether every text has a token that begins it."""
    ends: bool
    template: str


def read_vocabulary(folder: Path, config: Config) -> Vocabulary:
    """The tokenizer of a folder.

    Raises:
        InvalidInputError: a file is damaged, or does not fit the model.
        NotSupportedError: there is none, or one that llama.cpp would read otherwise.
    """
    if not (folder / "tokenizer.json").is_file():
        raise NotSupportedError(
            "it has no tokenizer.json, without which its tokens are not known: save it anew with a "
            "newer transformers"
        )
    found = read_json(folder / "tokenizer.json", _Tokenizer, MAX_BYTES)
    kind = decoded(found.model, _Kind, "tokenizer.json").type
    if kind not in (None, "BPE"):
        raise NotSupportedError(f"its tokenizer is a {str(kind)[:40]!r}; converted is 'BPE'")
    pairs = decoded(found.model, _Pairs, "tokenizer.json")
    if pairs.byte_fallback or pairs.continuing_subword_prefix or pairs.end_of_word_suffix:
        raise NotSupportedError(
            "its tokenizer merges characters, as SentencePiece does; converted are those that "
            "merge bytes, as GPT-2's"
        )
    pre = named(found.pre_tokenizer, found.normalizer, ignores_merges=bool(pairs.ignore_merges))
    tokens, kinds = _listed(pairs.vocab, found.added_tokens, config.vocab_size)
    settings = read_json(folder / "tokenizer_config.json", _Settings, optional=True)
    told = read_json(folder / "generation_config.json", _Ids, optional=True)
    numbers = {text: at for at, text in enumerate(tokens)}
    special = _special(settings, numbers, config, _ids(told.eos_token_id, len(tokens)))
    first, last = _around(found.post_processor)
    around = {name: tokens[number] for name, number in special.items()}
    return Vocabulary(
        pre=pre,
        tokens=tokens,
        kinds=kinds,
        merges=[each if isinstance(each, str) else " ".join(each) for each in pairs.merges],
        special=special,
        begins=_is_added(around.get("bos"), first, settings.add_bos_token),
        ends=_is_added(around.get("eos"), last, settings.add_eos_token),
        template=template_of(folder, settings.chat_template),
    )


def _listed(
    vocabulary: dict[str, int], added: list[_Added], size: int
) -> tuple[list[str], list[int]]:
    """Every token by its number, and what kind each is."""
    tokens: dict[int, str] = {at: text for text, at in vocabulary.items()}
    kinds = dict.fromkeys(tokens, NORMAL)
    for each in added:
        tokens[each.id] = each.content
        kinds[each.id] = CONTROL if each.special else USER_DEFINED
    if not tokens or max(tokens) >= size:
        raise InvalidInputError(f"its tokenizer has tokens beyond the {size} of the model")
    return (
        [tokens.get(at, f"[PAD{at}]") for at in range(size)],
        [kinds.get(at, UNUSED) for at in range(size)],
    )


def _special(
    settings: _Settings, numbers: dict[str, int], config: Config, ending: list[int]
) -> dict[str, int]:
    """The tokens that have a meaning, by the tokenizer's settings before the model's config."""
    found: dict[str, int] = {}
    ending = [*ending, *_ids(config.eos_token_id, len(numbers))]
    usual = {"bos": _ids(config.bos_token_id, len(numbers)), "eos": ending, "pad": []}
    for name, otherwise in usual.items():
        text = getattr(settings, f"{name}_token")
        text = text.get("content") if isinstance(text, dict) else text
        number = numbers.get(text) if isinstance(text, str) else None
        if number is not None or otherwise:
            found[name] = otherwise[0] if number is None else number
    others = [each for each in ending if each != found["eos"]]
    return found | ({"eot": others[0]} if others else {})


def _ids(value: Any, size: int) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if type(each) is int and 0 <= each < size]


def _around(processor: _Processor | None) -> tuple[set[str], set[str]]:
    """The tokens that a text gets before it, and after it."""
    first: set[str] = set()
    last: set[str] = set()
    left = [processor] if processor else []
    while left:
        each = left.pop()
        left += each.processors or []
        if each.type == "TemplateProcessing" and each.single:
            for found, part in ((first, each.single[0]), (last, each.single[-1])):
                found |= {part.special.id} if part.special else set()
    return first, last


def _is_added(token: str | None, added: set[str], told: bool | None) -> bool:
    """Whether every text gets a token, by the tokenizer's settings before its own parts.

    Raises:
        NotSupportedError: it gets another one, of which a GGUF cannot tell.
    """
    if told is not None:
        return told and token is not None
    if added - {token}:
        raise NotSupportedError(
            f"its tokenizer puts {min(added - {token})[:40]!r} around every text, which is not "
            "the token that begins or ends one"
        )
    return bool(added)
