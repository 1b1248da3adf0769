"""llama.cpp's server (xllamacpp) in this process.

The library always opens an HTTP listener of its own. It is closed off: it listens on a Unix
socket in a folder that only this user reads, and wants a random key.
"""

import os
import re
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import msgspec
import xllamacpp

from sensorium.core.errors import (
    InvalidInputError,
    NotSupportedError,
    SensoriumError,
    UnavailableError,
)
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.gguf_options import (
    ENCODERS,
    GPU_STEP,
    batch_tokens,
    threads_of,
)
from sensorium.models.backends.gguf_reason import reason_of
from sensorium.models.backends.too_long import too_long
from sensorium.models.headers.header import Header
from sensorium.models.templates.vetting import is_harmless

ERRORS = 1
_TOO_WIDE = re.compile(r"input \((\d+) tokens\) is too large to process.*batch size: (\d+)\)")
"""What it says of a text to embed that is no single batch; of this error it gives no numbers."""
NO_TEMPLATE = "chatml"
"""What the library is given where it may not have the model's own; nothing uses it then."""


class Engine:
    """One engine over a file: for texts, or (`embeds`) for vectors of them.

    Raises:
        InvalidInputError: the library cannot load it.
    """

    def __init__(
        self, artifact: Artifact, options: LoadOptions, header: Header, *, embeds: bool
    ) -> None:
        folder = Path(tempfile.mkdtemp(prefix="sensorium-"))
        socket, key = folder / "llama.sock", secrets.token_hex(16)
        made = parameters(artifact, options, header, embeds=embeds)
        self.has_template = header.chat_template != "" and is_harmless(header.chat_template)
        """Whether the library has the model's own: it tries it at once, and has no bounds."""
        made.chat_template = header.chat_template if self.has_template else NO_TEMPLATE
        made.hostnames, made.api_keys = [str(socket)], [key]
        try:
            self._server: Any = xllamacpp.Server(made)
        except RuntimeError:
            socket.unlink(missing_ok=True)
            try:
                reason = reason_of(lambda: xllamacpp.Server(made))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            raise InvalidInputError(f"llama.cpp cannot load it: {reason}") from None
        self._place = _Place(folder, socket)
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=self._place.address),
            base_url="http://llama",
            headers={"authorization": f"Bearer {key}"},
            timeout=60.0,
        )

    @property
    def server(self) -> Any:
        """The library's server.

        Raises:
            UnavailableError: it is closed.
        """
        if self._server is None:
            raise UnavailableError("the model is closed")
        return self._server

    def ask(self, path: str, body: dict[str, Any], refused: str = "") -> Any:
        """What only the listener offers; `refused` is what it means where the library fails at it.

        Raises:
            InvalidInputError: it refuses.
            UnavailableError: it is closed.
        """
        _ = self.server
        answer = self._http.post(path, json=body)
        if refused and answer.status_code == 500:
            raise InvalidInputError(refused)
        found = msgspec.json.decode(answer.content)
        check_answer(found)
        return found

    def close(self) -> None:
        """Give back what it holds; a second time does nothing."""
        self._http.close()
        self._server = None
        self._place.close()


class _Place:
    """Where the socket is reached.

    On Linux that is a descriptor: the folder is removed at once, so that a process which is killed
    leaves nothing behind.
    """

    def __init__(self, folder: Path, socket: Path) -> None:
        self.address = str(socket)
        self._folder = folder
        self._descriptor: int | None = None
        if sys.platform == "linux":
            self._descriptor = os.open(socket, os.O_PATH)
            self.address = f"/proc/self/fd/{self._descriptor}"
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """A second time does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
        shutil.rmtree(self._folder, ignore_errors=True)


def has_gpu() -> bool:
    """Whether the library computes on one here."""
    return any(each["name"] != "CPU" for each in xllamacpp.get_device_info())


def check_answer(answer: dict[str, Any]) -> None:
    """Raise the error that an answer of the library's is."""
    error = answer.get("error")
    if error is None:
        return
    message = str(error.get("message", ""))[:500]
    if "n_ctx" in error:
        raise too_long(error.get("n_prompt_tokens", 0), error["n_ctx"])
    if wide := _TOO_WIDE.search(message):
        raise too_long(int(wide[1]), int(wide[2]), whole=True)
    if error.get("code") == 501:
        raise NotSupportedError(message)
    if error.get("code") in (400, 413):
        raise InvalidInputError(message)
    raise SensoriumError(message)


def projector_for(artifact: Artifact, header: Header) -> Path | None:
    """The file that has the library see; None where there is none, or one for sound alone."""
    return artifact.projector if header.details.get("pictures") else None


def parameters(artifact: Artifact, options: LoadOptions, header: Header, *, embeds: bool) -> Any:
    """What the library is told of an engine; it is yet to be given its listener."""
    made = xllamacpp.CommonParams()
    made.model.path = str(artifact.path)
    context, parallel = options.tokens(header.context_length), 1 if embeds else options.parallel
    made.n_ctx = context * parallel
    made.n_parallel = parallel
    made.n_gpu_layers = options.gpu_layers
    made.cpuparams.n_threads = made.cpuparams_batch.n_threads = threads_of(options, header)
    made.embedding = embeds
    step = batch_tokens(options, context, embeds=embeds)
    projector = None if embeds else projector_for(artifact, header)
    if projector is not None:
        made.mmproj.path, made.mmproj_use_gpu = str(projector), options.gpu_layers != 0
        step = max(step, GPU_STEP)  # some models look at all of a picture at once, in one batch
    made.n_batch = made.n_ubatch = max(step, 2 * parallel)
    if embeds and header.architecture not in ENCODERS:
        made.no_extra_bufts = True  # the weights as they are mapped, shared with the other engine
        if not header.details.get("pooling"):
            made.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    made.cache_ram_mib = 0  # 8 GiB of old prompts by default
    made.ctx_shift = False  # it would forget a text's beginning, and say nothing
    made.fit_params = False  # it would change what was asked for
    made.ui = made.endpoint_slots = made.endpoint_props = False
    made.offline = True
    made.verbosity = ERRORS
    made.warmup = projector is not None  # a malformed one fails then, and not with a picture
    return made
