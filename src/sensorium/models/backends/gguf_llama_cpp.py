"""GGUF models through llama-cpp-python, for those who compile llama.cpp for their own processor.

One text at a time: this library has no batch that several share.
"""

from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.core.generation import Generation
from sensorium.core.loading import load
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.gguf_llama_cpp_sampling import Sampler
from sensorium.models.backends.gguf_llama_cpp_words import Words
from sensorium.models.backends.gguf_options import (
    ENCODERS,
    STEP,
    batch_tokens,
    check_device,
    spec_of,
    threads_of,
)
from sensorium.models.backends.looking import Emit, Looking, UnwantedError
from sensorium.models.backends.telling import Telling
from sensorium.models.backends.too_long import too_long
from sensorium.models.backends.turns import Turns
from sensorium.models.headers.header import Header
from sensorium.models.headers.reading import read_header
from sensorium.models.tools import CallReader, held

NO_GPU = "llama.cpp has no GPU here: llama-cpp-python was compiled without one"


class LlamaCppModel:
    """One text at a time; others wait for their turn."""

    parallel = 1

    def __init__(self, llama: Any, header: Header, options: LoadOptions, context: int) -> None:
        self.spec = spec_of(options, header.context_length, has_gpu=_has_gpu(), reason=NO_GPU)
        self._turns = Turns(llama)
        self._words = Words(llama)
        self._context = context
        self._encoder = header.architecture in ENCODERS
        self._guided: Any = None

    def generate(self, task: Generation, emit: Emit) -> None:
        """See `TextModel.generate`."""
        if self._encoder:
            raise NotSupportedError("this model gives vectors, and no text")
        task = held(task)
        looking = Looking(CallReader(task.tools, emit) if task.tools else emit)
        try:
            with self._turns.take(looking) as llama:
                self._generate(llama, task, looking)
        except UnwantedError:
            return

    def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        """See `TextModel.embed`."""
        read = 0
        with self._turns.take() as llama:
            widest = llama.n_batch
            for text in texts:
                size = len(self._words.tokens(text, begin=True))
                if size > widest:
                    raise too_long(size, widest, whole=True)
                read += size
            llama_cpp.llama_set_embeddings(llama.ctx, True)
            vectors = llama.embed(list(texts)) if texts else []
            array = np.array(vectors, dtype=np.float32).reshape(len(vectors), llama.n_embd())
        norms = np.linalg.norm(array, axis=1, keepdims=True)
        return array / np.where(norms == 0, 1, norms), read

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """See `TextModel.tokenize`."""
        with self._turns.take():
            return self._words.tokens(text, begin=special)

    def size(self, task: Generation) -> int:
        """See `TextModel.size`."""
        with self._turns.take():
            return len(self._words.prompt(task))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `TextModel.detokenize`."""
        with self._turns.take():
            return self._words.text(tokens, marks=True)

    def close(self) -> None:
        """See `TextModel.close`."""
        if (llama := self._turns.close()) is not None:
            llama.close()

    def _generate(self, llama: Any, task: Generation, looking: Looking) -> None:
        prompt = self._words.prompt(task)
        room = self._context - len(prompt)
        if room < 1:
            raise too_long(len(prompt), self._context)
        guide = self._guide(llama, task) if task.json_schema else None
        with Sampler(llama, task, prompt, guide) as sampler:
            llama_cpp.llama_set_embeddings(llama.ctx, False)
            _read(llama, prompt, looking)
            telling = Telling(self._words.text, self._words.ends, task, looking, len(prompt))
            limit = min(task.max_tokens, room)
            for made in range(1, limit + 1):
                chosen = sampler.choose()
                if telling.tell(chosen):
                    break
                looking.check()
                if made < limit:
                    llama.eval([chosen.token])
        telling.end()

    def _guide(self, llama: Any, task: Generation) -> Any:
        """What holds a text to a schema.

        Raises:
            InvalidInputError: it is no schema, or has what cannot be held to.
            UnavailableError: a library for that is not installed.
        """
        if self._guided is None:
            guided = load("sensorium.models.backends.gguf_llama_cpp_guided:Guided")
            self._guided = guided(llama.model)
        return self._guided.to(task.json_schema)


class LlamaCppBackend:
    """See `base.Backend`."""

    def load(self, artifact: Artifact, options: LoadOptions) -> LlamaCppModel:
        """See `base.Backend.load`."""
        check_device(options, has_gpu=_has_gpu(), reason=NO_GPU)
        header = read_header(artifact, trusted=options.trusted)
        if not header.tensors:
            raise NotSupportedError("of a vocabulary alone, only xllamacpp tells the tokens")
        context = options.tokens(header.context_length)
        try:
            llama = llama_cpp.Llama(str(artifact.path), **_parameters(options, header, context))
        except Exception:  # its errors are of any kind, and name paths
            raise InvalidInputError("llama.cpp cannot load it") from None
        return LlamaCppModel(llama, header, options, context)


BACKEND = LlamaCppBackend()


def _has_gpu() -> bool:
    return bool(llama_cpp.llama_supports_gpu_offload())


def _parameters(options: LoadOptions, header: Header, context: int) -> dict[str, Any]:
    encoder = header.architecture in ENCODERS
    threads = threads_of(options, header)
    widest = batch_tokens(options, context, embeds=True)
    pooling = llama_cpp.LLAMA_POOLING_TYPE_UNSPECIFIED
    if not (encoder or header.details.get("pooling")):
        pooling = llama_cpp.LLAMA_POOLING_TYPE_MEAN
    return {
        "n_ctx": context,
        "n_batch": widest,
        "n_ubatch": widest,
        "n_threads": threads,
        "n_threads_batch": threads,
        "n_gpu_layers": options.gpu_layers,
        "embedding": True,
        "pooling_type": pooling,
        "verbose": False,
        "flash_attn": True,
    }


def _read(llama: Any, prompt: list[int], looking: Looking) -> None:
    """Read a prompt, less what it has in common with the text before.

    Raises:
        UnwantedError: nobody wants the text any more.
    """
    begun = _in_common(llama, prompt)
    llama.n_tokens = begun
    for at in range(begun, len(prompt), STEP):
        looking.check()
        llama.eval(prompt[at : at + STEP])


def _in_common(llama: Any, prompt: list[int]) -> int:
    """How many tokens the cache has of this prompt; what follows them there is taken out."""
    most = min(llama.n_tokens, len(prompt) - 1)  # the last one is read again: what follows it?
    other = np.flatnonzero(llama.input_ids[:most] != np.array(prompt[:most], dtype=np.intc))
    alike = int(other[0]) if len(other) else most
    memory = llama_cpp.llama_get_memory(llama.ctx)
    # Caches that slide have forgotten the beginning, and those that recur cannot go back.
    whole = llama_cpp.llama_memory_seq_pos_min(memory, 0) == 0
    if alike and whole and llama_cpp.llama_memory_seq_rm(memory, 0, alike, -1):
        return alike
    llama_cpp.llama_memory_clear(memory, True)
    return 0
