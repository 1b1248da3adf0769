"""GGUF models through llama-cpp-python, for those who compile llama.cpp for their own processor.

One text at a time: this library has no batch that several share.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llama_cpp
import numpy as np

from sensorium.core.errors import InvalidInputError, NotSupportedError, UnavailableError
from sensorium.core.generation import Finish, Generation, Piece, Step
from sensorium.core.loading import load
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions, ModelSpec
from sensorium.models.backends.gguf_llama_cpp_sampling import Sampler
from sensorium.models.backends.gguf_llama_cpp_words import Words
from sensorium.models.backends.gguf_options import ENCODERS, STEP, batch_tokens, check_device
from sensorium.models.backends.looking import LOOK_S, Emit, Looking
from sensorium.models.backends.spelling import Spelling
from sensorium.models.backends.too_long import too_long
from sensorium.models.headers.header import Header
from sensorium.models.headers.reading import read_header
from sensorium.models.tools import CallReader, held

NO_GPU = "llama.cpp has no GPU here: llama-cpp-python was compiled without one"


class LlamaCppModel:
    """One text at a time; others wait for their turn."""

    parallel = 1

    def __init__(self, llama: Any, header: Header, options: LoadOptions, context: int) -> None:
        degraded = NO_GPU if options.gpu_layers and not _has_gpu() else ""
        self.spec = ModelSpec(
            platform="llamacpp_gguf",
            inputs=[],
            outputs=[],
            providers=["gpu", "cpu"] if options.gpu_layers and not degraded else ["cpu"],
            degraded=degraded,
        )
        self._llama: Any = llama
        self._words = Words(llama)
        self._context = context
        self._encoder = header.architecture in ENCODERS
        self._lock = threading.Lock()
        self._guided: Any = None

    def generate(self, task: Generation, emit: Emit) -> None:
        """See `TextModel.generate`."""
        if self._encoder:
            raise NotSupportedError("this model gives vectors, and no text")
        task = held(task)
        looking = Looking(CallReader(task.tools, emit) if task.tools else emit)
        with self._turn(looking) as llama:
            if llama is not None:
                self._generate(llama, task, looking)

    def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        """See `TextModel.embed`."""
        read = 0
        with self._turn() as llama:
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
        with self._turn():
            return self._words.tokens(text, begin=special)

    def size(self, task: Generation) -> int:
        """See `TextModel.size`."""
        with self._turn():
            return len(self._words.prompt(task))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `TextModel.detokenize`."""
        with self._turn():
            return self._words.text(tokens, marks=True)

    def close(self) -> None:
        """See `TextModel.close`."""
        with self._lock:
            if self._llama is not None:
                self._llama.close()
            self._llama = None

    @contextmanager
    def _turn(self, looking: Looking | None = None) -> Iterator[Any]:
        """The model, when nobody else has it; None where nobody wants the text any more."""
        while not self._lock.acquire(timeout=LOOK_S):
            if looking is not None and not looking.wanted():
                yield None
                return
        try:
            if self._llama is None:
                raise UnavailableError("the model was unloaded; try again", retry_after_s=0.1)
            yield self._llama
        finally:
            self._lock.release()

    def _generate(self, llama: Any, task: Generation, looking: Looking) -> None:
        prompt = self._words.prompt(task)
        room = self._context - len(prompt)
        if room < 1:
            raise too_long(len(prompt), self._context)
        guide = self._guide(task) if task.json_schema else None
        with Sampler(llama, task, prompt, guide) as sampler:
            llama_cpp.llama_set_embeddings(llama.ctx, False)
            if _read(llama, prompt, looking):
                text = _Text(self._words, task, looking, sampler)
                text.make(llama, min(task.max_tokens, room), len(prompt))

    def _guide(self, task: Generation) -> Any:
        """What holds a text to a schema.

        Raises:
            InvalidInputError: it is no schema, or has what cannot be held to.
            UnavailableError: a library for that is not installed.
        """
        if self._guided is None:
            guided = load("sensorium.models.backends.gguf_llama_cpp_guided:Guided")
            self._guided = guided(self._llama.model)
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
    threads = options.threads or os.cpu_count() or 1
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


def _read(llama: Any, prompt: list[int], looking: Looking) -> bool:
    """Read a prompt, less what it has in common with the text before; False: it is not wanted."""
    begun = _in_common(llama, prompt)
    llama.n_tokens = begun
    for at in range(begun, len(prompt), STEP):
        if not looking.wanted():
            return False
        llama.eval(prompt[at : at + STEP])
    return True


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


class _Text:
    """One text: token by token from the sampler, and piece by piece to whoever wants it."""

    def __init__(self, words: Words, task: Generation, looking: Looking, sampler: Sampler) -> None:
        self._words = words
        self._looking = looking
        self._sampler = sampler
        self._logprobs = task.logprobs
        self._spelling = Spelling(words.text, task.stop)
        self._tokens: list[int] = []
        self._steps: list[Step] = []

    def make(self, llama: Any, limit: int, prompt_tokens: int) -> None:
        """Make the text, and its last piece, unless nobody wants it any more."""
        finish: Finish = "length"
        made = 0
        while made < limit:
            token = self._sampler.choose()
            if self._words.ends(token):
                finish = "stop"
                break
            made += 1
            text = self._take(token)
            if self._spelling.stopped:
                self._emit(text)
                finish = "stop"
                break
            if not (self._emit(text) if text else self._looking.wanted()):
                return
            if made < limit:
                llama.eval([token])
        rest = self._spelling.rest()
        if self._spelling.stopped:
            finish = "stop"
        self._emit(
            rest,
            finish=finish,
            stopped_by=self._spelling.stops.by,
            prompt_tokens=prompt_tokens,
            generated_tokens=made,
        )

    def _take(self, token: int) -> str:
        self._tokens.append(token)
        if self._logprobs:
            self._steps.append(self._sampler.step(token, self._words))
        return self._spelling.add(token)

    def _emit(self, text: str, **more: Any) -> bool:
        tokens, self._tokens = self._tokens, []
        steps, self._steps = self._steps, []
        return self._looking.emit(Piece(text=text, tokens=tokens, steps=steps, **more))
