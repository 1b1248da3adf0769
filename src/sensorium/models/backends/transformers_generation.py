"""Language models of transformers, text by text."""

import gc
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from tokenizers import Encoding
from transformers import GenerationConfig, StoppingCriteriaList

from sensorium.core.errors import InvalidInputError, NotSupportedError, UnavailableError
from sensorium.core.generation import Generation
from sensorium.models.backends.base import ModelSpec
from sensorium.models.backends.fast_tokens import Slow, begun, length
from sensorium.models.backends.looking import Emit, Looking, UnwantedError
from sensorium.models.backends.telling import Telling
from sensorium.models.backends.templated import templated
from sensorium.models.backends.too_long import too_long
from sensorium.models.backends.transformers_sampling import Sampler, Teller
from sensorium.models.backends.transformers_tokens import Tokens
from sensorium.models.backends.turns import Turns
from sensorium.models.templates.rendering import ChatTemplate
from sensorium.models.tools import CallReader, is_forced


class Read(NamedTuple):
    """What a model reads before it makes a text."""

    ids: list[int]
    more: dict[str, Any]
    """Tensors beside the tokens, by their names: pictures."""


class GeneratingModel:
    """One text at a time; others wait for their turn."""

    parallel = 1
    takes_pictures = False

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        spec: ModelSpec,
        context: int,
        *,
        begins: bool,
        template: Any = None,
    ) -> None:
        self.spec = spec
        self._turns = Turns(model)
        self._tokens = Tokens(tokenizer)
        self._context = context
        self._first = tokenizer.bos_token_id if begins else None
        self._template = _template(tokenizer, template or tokenizer.chat_template)
        self._looking: Looking | None = None
        self.ends = _ends(model, tokenizer)
        """The tokens that end a text."""
        self._encodes = bool(getattr(model.config, "is_encoder_decoder", False))
        self._ways = _ways(model) if self._encodes else {}
        model.generation_config = GenerationConfig()  # what its authors preferred is no one's wish
        for layers in model.modules():
            if isinstance(layers, torch.nn.ModuleList):
                for layer in layers:
                    layer.register_forward_pre_hook(self._look)

    def generate(self, task: Generation, emit: Emit) -> None:
        """See `TextModel.generate`."""
        if task.json_schema or task.grammar or is_forced(task):
            raise NotSupportedError("only GGUF models are held to a schema, a grammar or a call")
        read = self._read(task)
        room = self._room(len(read.ids))
        looking = Looking(CallReader(task.tools, emit) if task.tools else emit)
        try:
            with self._turns.take(looking) as model:
                self._generate(model, task, read, min(task.max_tokens, room), looking)
        except UnwantedError:
            return

    def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        """See `TextModel.embed`."""
        raise NotSupportedError("this model makes text; embeddings are made by encoders")

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """See `TextModel.tokenize`."""
        return begun(self._tokens.encoded(text, special=special), self._first if special else None)

    def size(self, task: Generation) -> int:
        """See `TextModel.size`."""
        return length(self._encoded_prompt(task), self._first)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `TextModel.detokenize`."""
        return self._tokens.detokenized(tokens)

    def close(self) -> None:
        """See `TextModel.close`."""
        self._turns.close()
        gc.collect()

    def _room(self, size: int) -> int:
        """How many tokens a text may have after a prompt of so many.

        Raises:
            InvalidInputError: none.
        """
        if not size:
            raise InvalidInputError("the prompt has no tokens, and the model takes one or more")
        if size >= self._context:
            raise too_long(size, self._context)
        return self._context - size

    def _generate(
        self, model: Any, task: Generation, read: Read, limit: int, looking: Looking
    ) -> None:
        vocabulary = model.get_output_embeddings().weight.shape[0]
        begun = 1 if self._encodes else len(read.ids)
        sampler = Sampler(task, begun, vocabulary)
        ends = self.ends.__contains__
        telling = Telling(self.decode, ends, task, looking, len(read.ids))
        config = GenerationConfig(
            max_new_tokens=limit,
            do_sample=False,
            eos_token_id=None,  # the teller knows them
            pad_token_id=0,
            use_cache=True,
            **self._ways,
        )
        ids = torch.tensor([read.ids], device=model.device)
        more = {name: _placed(each, model) for name, each in read.more.items()}
        self._looking = looking
        try:
            with torch.inference_mode():
                model.generate(
                    ids,
                    attention_mask=torch.ones_like(ids),
                    generation_config=config,
                    logits_processor=[sampler],
                    stopping_criteria=StoppingCriteriaList([Teller(telling, sampler)]),
                    **more,
                )
        except torch.OutOfMemoryError:
            raise UnavailableError("the device has too little memory for this") from None
        finally:
            self._looking = None
        telling.end()

    def _read(self, task: Generation) -> Read:
        """The tokens to go on with; the one that begins a text is added where the tokenizer's
        configuration says so (`add_bos_token`) and it is not there yet.

        Raises:
            InvalidInputError: the template cannot turn these messages into a text.
        """
        return Read(begun(self._encoded_prompt(task), self._first), {})

    def _encoded_prompt(self, task: Generation) -> Encoding | Slow:
        if not task.messages:
            return self._tokens.encoded(task.prompt, special=True)
        return self._tokens.encoded(self._templated(task), special=False)

    def _templated(self, task: Generation) -> str:
        return templated(self._template, task, pictures=self.takes_pictures)

    def decode(self, tokens: list[int]) -> str:
        """The text that tokens are in a text, without those that only mark its parts."""
        return self._tokens.decoded(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )

    def _look(self, *_: Any) -> None:
        """Before each layer: a long prompt is read no further than somebody waits for it."""
        if self._looking is not None:
            self._looking.check()


def _template(tokenizer: Any, source: Any) -> ChatTemplate | None:
    if not isinstance(source, str):
        return None
    special = {
        name: text for name, text in tokenizer.special_tokens_map.items() if isinstance(text, str)
    }
    return ChatTemplate(source, **special)


def _ways(model: Any) -> dict[str, Any]:
    """What a model that reads with an encoder cannot make a text without."""
    names = ("decoder_start_token_id", "forced_bos_token_id", "no_repeat_ngram_size")
    config = model.generation_config
    return {name: found for name in names if (found := getattr(config, name, None)) is not None}


def _placed(tensor: Any, model: Any) -> Any:
    """Where the model is, in its precision."""
    if not isinstance(tensor, torch.Tensor):
        return tensor
    return tensor.to(model.device, model.dtype if tensor.is_floating_point() else None)


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """What ends a text, by the model's configuration or else its tokenizer's."""
    config = model.generation_config
    found = None if config is None else config.eos_token_id
    found = tokenizer.eos_token_id if found is None else found
    return [each for each in (found if isinstance(found, list) else [found]) if each is not None]
