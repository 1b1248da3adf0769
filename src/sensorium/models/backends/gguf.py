"""GGUF models through llama.cpp (xllamacpp): several texts at once, in one batch.

The library always opens an HTTP listener of its own. It is closed off: it listens on a Unix
socket in a folder that only this user reads, and wants a random key.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import xllamacpp

from sensorium.core.errors import (
    InvalidInputError,
    NotSupportedError,
    SensoriumError,
    UnavailableError,
)
from sensorium.core.generation import Generation, Likely, Piece, Step
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions, ModelSpec
from sensorium.models.backends.gguf_options import ENCODERS, batch_tokens, check_device
from sensorium.models.backends.gguf_schema import grammar_of
from sensorium.models.backends.gguf_texts import Texts
from sensorium.models.headers.header import Header
from sensorium.models.headers.reading import read_header

ERRORS = 1
NO_GPU = "llama.cpp has no GPU here: none is there, or its library was built without it"
NO_TOKEN = "one of the numbers is no token's"
FINISHES = {"stop": "stop", "length": "length", "tool_calls": "stop"}


class GgufModel:
    """llama.cpp's server, in this process."""

    def __init__(self, server: Any, socket: Path, key: str, header: Header, options: LoadOptions):
        self.parallel = options.parallel
        self.spec = ModelSpec(
            platform="llamacpp_gguf",
            inputs=[],
            outputs=[],
            providers=["gpu", "cpu"] if options.gpu_layers and _has_gpu() else ["cpu"],
            degraded=NO_GPU if options.gpu_layers and not _has_gpu() else "",
        )
        self._server: Any = server
        self._texts = Texts(options.parallel)
        self._encoder = header.architecture in ENCODERS
        self._folder = socket.parent
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)),
            base_url="http://llama",
            headers={"authorization": f"Bearer {key}"},
            timeout=60.0,
        )

    def generate(self, task: Generation, emit: Callable[[Piece], bool]) -> None:
        """See `TextModel.generate`."""
        if self._encoder:
            raise NotSupportedError("this model gives vectors, and no text")
        self._texts.make(partial(self._make, _request(task)), emit)

    def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        """See `TextModel.embed`."""
        found = self._open().handle_embeddings({"input": list(texts)})
        _check(found)
        vectors = [each["embedding"] for each in found["data"]]
        array = np.array(vectors, dtype=np.float32).reshape(len(vectors), -1)
        norms = np.linalg.norm(array, axis=1, keepdims=True)
        return array / np.where(norms == 0, 1, norms), found["usage"]["prompt_tokens"]

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """See `TextModel.tokenize`."""
        asked = {"content": text, "add_special": special, "parse_special": special}
        found: list[int] = self._ask("/tokenize", asked)["tokens"]
        return found

    def size(self, task: Generation) -> int:
        """See `TextModel.size`."""
        prompt = task.prompt
        if task.messages:
            prompt = self._ask("/apply-template", _request(task))["prompt"]
        return len(self.tokenize(prompt, special=True))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `TextModel.detokenize`."""
        if not all(0 <= token < 2**31 for token in tokens):  # the library would cut them to 32 bits
            raise InvalidInputError(NO_TOKEN)
        answer = self._ask("/detokenize", {"tokens": list(tokens)}, refused=NO_TOKEN)
        found: str = answer["content"]
        return found

    def close(self) -> None:
        """See `TextModel.close`."""
        self._texts.close()
        self._http.close()
        self._server = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _open(self) -> Any:
        """The library's server.

        Raises:
            UnavailableError: it is closed.
        """
        if self._server is None:
            raise UnavailableError("the model is closed")
        return self._server

    def _make(self, request: dict[str, Any], emit: Callable[[Piece], bool]) -> None:
        """Make a text; errors as for `TextModel.generate`."""
        server = self._open()
        heard = _Hearing(emit)
        chat = "messages" in request
        make = server.handle_chat_completions if chat else server.handle_completions
        try:
            found = make(request, heard)
        except (ValueError, TypeError) as error:  # messages that its template does not take
            raise InvalidInputError(str(error)[:500]) from None
        heard.check(found)

    def _ask(self, path: str, body: dict[str, Any], refused: str = "") -> Any:
        """What only the listener offers; `refused` is what it means where the library fails at it.

        Raises:
            InvalidInputError: it refuses.
            UnavailableError: it is closed.
        """
        self._open()
        answer = self._http.post(path, json=body)
        if refused and answer.status_code == 500:
            raise InvalidInputError(refused)
        found = msgspec.json.decode(answer.content)
        _check(found)
        return found


class GgufBackend:
    """See `base.Backend`."""

    def load(self, artifact: Artifact, options: LoadOptions) -> GgufModel:
        """See `base.Backend.load`."""
        check_device(options, has_gpu=_has_gpu(), reason=NO_GPU)
        header = read_header(artifact, trusted=options.trusted)
        folder = Path(tempfile.mkdtemp(prefix="sensorium-"))
        socket, key = folder / "llama.sock", secrets.token_hex(16)
        try:
            server = xllamacpp.Server(_parameters(artifact, options, header, socket, key))
        except RuntimeError:
            shutil.rmtree(folder, ignore_errors=True)
            raise InvalidInputError("llama.cpp cannot load it; the log has the reason") from None
        return GgufModel(server, socket, key, header, options)


BACKEND = GgufBackend()


def _has_gpu() -> bool:
    return any(each["name"] != "CPU" for each in xllamacpp.get_device_info())


def _parameters(
    artifact: Artifact, options: LoadOptions, header: Header, socket: Path, key: str
) -> Any:
    made = xllamacpp.CommonParams()
    made.model.path = str(artifact.path)
    context = options.tokens(header.context_length)
    made.n_ctx = context * options.parallel
    made.n_parallel = options.parallel
    made.n_gpu_layers = options.gpu_layers
    threads = options.threads or os.cpu_count() or 1
    made.cpuparams.n_threads = made.cpuparams_batch.n_threads = threads
    made.embedding = header.architecture in ENCODERS
    step = batch_tokens(options, context, embeds=made.embedding)
    made.n_batch = made.n_ubatch = max(step, 2 * options.parallel)
    made.cache_ram_mib = 0  # 8 GiB of old prompts by default
    made.ctx_shift = False  # it would forget a text's beginning, and say nothing
    made.fit_params = False  # it would change what was asked for
    made.hostnames, made.api_keys = [str(socket)], [key]
    made.ui = made.endpoint_slots = made.endpoint_props = False
    made.offline = True
    made.verbosity = ERRORS
    made.warmup = False
    return made


def _request(task: Generation) -> dict[str, Any]:
    """The library's request.

    Raises:
        InvalidInputError: the schema or the grammar is none.
    """
    request: dict[str, Any] = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,  # so that it asks after each batch whether the text is wanted
        "max_tokens": task.max_tokens,
        "n_predict": task.max_tokens,
        "temperature": task.temperature,
        "top_p": task.top_p,
        "top_k": task.top_k,
        "min_p": task.min_p,
        "repeat_penalty": task.repeat_penalty,
        "presence_penalty": task.presence_penalty,
        "frequency_penalty": task.frequency_penalty,
        "stop": task.stop,
        "logit_bias": [[int(token), bias] for token, bias in task.logit_bias.items()],
    }
    if task.seed is not None:
        request["seed"] = task.seed
    if task.logprobs:
        request |= {"logprobs": True, "top_logprobs": task.logprobs, "n_probs": task.logprobs}
    if task.json_schema:
        request["grammar"] = grammar_of(task.json_schema)
    elif task.grammar:
        request["grammar"] = task.grammar
    return request | (
        {"messages": msgspec.to_builtins(task.messages)}
        if task.messages
        else {"prompt": task.prompt}
    )


class _Hearing:
    """What the library calls with each chunk; tells it to stop by returning True."""

    def __init__(self, emit: Callable[[Piece], bool]) -> None:
        self._emit = emit
        self._finish = ""
        self._ended = self._stopped = False
        self._problem: Exception | None = None

    def __call__(self, chunk: dict[str, Any]) -> bool:
        try:
            self._stopped = not self._hear(chunk)
        except Exception as error:  # the library would swallow it
            self._problem, self._stopped = error, True
        return self._stopped

    def check(self, returned: Any) -> None:
        """Raise what went wrong, now that the text is over."""
        if self._problem is not None:
            raise self._problem
        _check(returned or {})
        if not (self._ended or self._stopped):
            raise SensoriumError("the text broke off")

    def _hear(self, chunk: dict[str, Any]) -> bool:
        _check(chunk)
        wanted = None
        for choice in chunk.get("choices", []):
            text = choice.get("text") or choice.get("delta", {}).get("content") or ""
            steps = _steps(choice.get("logprobs"))
            self._finish = FINISHES.get(choice.get("finish_reason") or "", self._finish)
            if text or steps:
                tokens = [each.chosen.token for each in steps]
                wanted = self._emit(Piece(text=text, tokens=tokens, steps=steps))
        usage = chunk.get("usage")
        if usage and self._finish and not self._ended:
            self._ended = True
            self._emit(
                Piece(
                    finish=self._finish,  # type: ignore[arg-type]
                    prompt_tokens=usage["prompt_tokens"],
                    generated_tokens=usage["completion_tokens"],
                )
            )
        return self._emit(Piece()) if wanted is None else wanted


def _steps(logprobs: dict[str, Any] | None) -> list[Step]:
    return [
        Step(chosen=_likely(each), top=[_likely(other) for other in each["top_logprobs"]])
        for each in (logprobs or {}).get("content", [])
    ]


def _likely(told: dict[str, Any]) -> Likely:
    return Likely(token=told["id"], text=told["token"], logprob=told["logprob"])


def _check(answer: dict[str, Any]) -> None:
    """Raise the error that an answer is."""
    error = answer.get("error")
    if error is None:
        return
    message = str(error.get("message", ""))[:500]
    if error.get("code") == 501:
        raise NotSupportedError(message)
    if error.get("code") in (400, 413):
        raise InvalidInputError(message)
    raise SensoriumError(message)
