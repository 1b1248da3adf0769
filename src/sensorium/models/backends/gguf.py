"""GGUF models through llama.cpp (xllamacpp): several texts at once, in one batch."""

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.core.generation import Generation
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.gguf_engine import Engine, check_answer, has_gpu
from sensorium.models.backends.gguf_hearing import Hearing
from sensorium.models.backends.gguf_options import ENCODERS, spec_of
from sensorium.models.backends.gguf_requests import chat_request, text_request
from sensorium.models.backends.gguf_texts import Emit, Texts
from sensorium.models.backends.openai_form import openai_messages, openai_tools
from sensorium.models.backends.templated import begun, taken, templated
from sensorium.models.headers.header import Header
from sensorium.models.templates.rendering import ChatTemplate
from sensorium.models.templates.vetting import takes
from sensorium.models.tools import CallReader, held, is_forced, speaks_of_tools

NO_GPU = "llama.cpp has no GPU here: none is there, or its library was built without it"
NO_TOKEN = "one of the numbers is no token's"
NO_WEIGHTS = "this file is a vocabulary alone: it has no weights to make texts or vectors with"


class GgufModel:
    """A model in llama.cpp's server, in this process."""

    def __init__(self, artifact: Artifact, options: LoadOptions, header: Header) -> None:
        self.parallel = options.parallel
        self.spec = spec_of(options, header.context_length, has_gpu=has_gpu(), reason=NO_GPU)
        self._encoder = header.architecture in ENCODERS
        self._engine = Engine(artifact, options, header, embeds=self._encoder)
        try:
            self._bos = self._special(header.details.get("bos", ""))
            first = self.detokenize(self.tokenize("", special=True)[:1])
            self._begin = first if first == self._bos else ""
            self._template = self._read_template(header)
        except BaseException:
            self._engine.close()
            raise
        self._made_for_vectors: Engine | None = self._engine if self._encoder else None
        self._make_for_vectors = partial(Engine, artifact, options, header, embeds=True)
        self._making = threading.Lock()
        self._texts = Texts(options.parallel)

    def generate(self, task: Generation, emit: Emit) -> None:
        """See `TextModel.generate`."""
        if self._encoder:
            raise NotSupportedError("this model gives vectors, and no text")
        if not task.messages:
            request = text_request(replace(task, prompt=self._prompt(task)))
            work = partial(self._make, request, task.stop, chat=False)
        else:
            work = self._answering(begun(task))
        self._texts.make(work, emit)

    def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        """See `TextModel.embed`. The engine for vectors of a model of text is made when wanted."""
        with self._making:
            _ = self._engine.server  # none is made for a model that is closed
            if self._made_for_vectors is None:
                self._made_for_vectors = self._make_for_vectors()
        found = self._made_for_vectors.server.handle_embeddings({"input": list(texts)})
        check_answer(found)
        vectors = [each["embedding"] for each in found["data"]]
        array = np.array(vectors, dtype=np.float32).reshape(len(vectors), -1)
        norms = np.linalg.norm(array, axis=1, keepdims=True)
        return array / np.where(norms == 0, 1, norms), found["usage"]["prompt_tokens"]

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """See `TextModel.tokenize`."""
        asked = {"content": text, "add_special": special, "parse_special": special}
        found: list[int] = self._engine.ask("/tokenize", asked)["tokens"]
        return found

    def size(self, task: Generation) -> int:
        """See `TextModel.size`."""
        return len(self.tokenize(self._prompt(task), special=True))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `TextModel.detokenize`."""
        if not all(0 <= token < 2**31 for token in tokens):  # the library would cut them to 32 bits
            raise InvalidInputError(NO_TOKEN)
        answer = self._engine.ask("/detokenize", {"tokens": list(tokens)}, refused=NO_TOKEN)
        found: str = answer["content"]
        return found

    def close(self) -> None:
        """See `TextModel.close`."""
        self._texts.close()
        self._engine.close()
        with self._making:
            if self._made_for_vectors is not None:
                self._made_for_vectors.close()

    def _answering(self, task: Generation) -> Any:
        """What answers in a conversation, given who wants the pieces.

        The library has the same template, and reads calls and thoughts in a hundred models' own
        ways. It has no bounds: what it is to render is tried here with what it gives besides.
        """
        prompt, as_taken = taken(self._template, task)
        if self._is_read_there(task):
            self._try_with_more(as_taken)
            return partial(self._make, chat_request(as_taken), task.stop, chat=True)
        request = text_request(replace(held(task), prompt=self._unbegun(prompt)))
        if not task.tools:
            return partial(self._make, request, task.stop, chat=False)
        return lambda emit: self._make(request, task.stop, CallReader(task.tools, emit), chat=False)

    def _try_with_more(self, task: Generation) -> None:
        """Try the template with what the library gives to it besides; errors as for `_prompt`."""
        assert self._template is not None
        said = openai_messages(task.messages, parsed=True)
        takes(self._template, said, openai_tools(task.tools))

    def _is_read_there(self, task: Generation) -> bool:
        """Whether the library renders the conversation, and reads what the model answers."""
        if not (self._engine.has_template and speaks_of_tools(task)):
            return self._engine.has_template
        held_back = task.tools and (is_forced(task) or task.json_schema)
        return self._takes_tools and not held_back

    @property
    def _takes_tools(self) -> bool:
        return self._template is not None and self._template.takes_tools

    def _prompt(self, task: Generation) -> str:
        """A prompt, or a conversation as the model's template has it, as the engine takes it.

        Raises:
            InvalidInputError: it has no template, or it does not take this.
        """
        return self._unbegun(templated(self._template, task) if task.messages else task.prompt)

    def _unbegun(self, prompt: str) -> str:
        """A prompt without its beginning: the engine begins every prompt with it."""
        return prompt.removeprefix(self._begin)

    def _read_template(self, header: Header) -> ChatTemplate | None:
        if not header.chat_template:
            return None
        eos = self._special(header.details.get("eos", ""))
        return ChatTemplate(header.chat_template, bos_token=self._bos, eos_token=eos)

    def _special(self, number: str) -> str:
        """The text of a special token."""
        return self.detokenize([int(number)]) if number.isdigit() else ""

    def _make(
        self, request: dict[str, Any], stops: Sequence[str], emit: Emit, *, chat: bool
    ) -> None:
        """Make a text; errors as for `TextModel.generate`."""
        server = self._engine.server
        heard = Hearing(emit, stops)
        make = server.handle_chat_completions if chat else server.handle_completions
        try:
            found = make(request, heard)
        except (ValueError, TypeError) as error:  # messages that its template does not take
            raise InvalidInputError(str(error)[:500]) from None
        heard.check(found)


class VocabularyModel(GgufModel):
    """A file without tensors, which can only be asked for tokens."""

    def generate(self, task: Generation, emit: Emit) -> None:
        """See `TextModel.generate`."""
        raise NotSupportedError(NO_WEIGHTS)

    def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        """See `TextModel.embed`."""
        raise NotSupportedError(NO_WEIGHTS)
