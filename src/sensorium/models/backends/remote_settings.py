"""What `remote.toml` says: where a model is served by others, and how they are spoken to."""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.core.settings import Secret
from sensorium.models.artifact import Artifact

ENVIRONMENT = "env:"
FURTHER = "upstream"
MAX_UPSTREAMS = 16


class Upstream(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server that has the model."""

    url: str
    """`http` or `https`; with its path for `openai`, such as `https://host/v1`."""
    protocol: Literal["openai", "ollama", "oip"]
    model: Annotated[str, Meta(min_length=1, max_length=256)]
    version: Annotated[str, Meta(max_length=20, pattern="^[0-9]*$")] = ""
    """Of an `oip` model."""
    api_key: Secret = Secret("")
    """The key, or `env:NAME` for the variable that holds it."""
    timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    """So long may the server be silent."""
    completions: bool = False
    """Whether an `openai` server goes on with a prompt as it is, under `/completions`; else a
    prompt is sent as a user's message."""
    extended: bool = False
    """Whether an `openai` server takes `top_k`, `min_p`, `repeat_penalty`, `grammar` and the
    thoughts of earlier answers."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    proxy: str = ""
    ca_file: str = ""
    """Certificates to trust instead of the usual ones."""

    @property
    def host(self) -> str:
        """Whom it names, for the log."""
        return urlsplit(self.url).netloc


class _Shared(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    task: Literal["generate", "embed"] = "generate"
    deadline_s: Annotated[float, Meta(gt=0, le=86_400)] = 600.0
    """So long may an answer take in all, whoever is asked for it."""
    parallel: Annotated[int, Meta(ge=1, le=1024)] = 64
    """Texts that are asked for at once."""


class RemoteSettings(_Shared, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`remote.toml`, which a model's folder holds instead of weights."""

    upstreams: list[Upstream]
    """Who has the model, in the order in which they are asked."""


SHARED = _Shared.__struct_fields__


def own_settings(artifact: Artifact) -> RemoteSettings:
    """The settings of a model.

    Raises:
        InvalidInputError: they were fetched, or cannot be used.
        UnavailableError: a key is missing.
    """
    if artifact.source:
        raise InvalidInputError(
            "its remote.toml was fetched: it would have this server call whom it likes with "
            "secrets of its environment. Write one of your own"
        )
    return read_settings(artifact.path)


def read_settings(path: Path) -> RemoteSettings:
    """The settings in a `remote.toml`, its keys revealed from the environment where they are there.

    What stands at the top is the first upstream; each `[[upstream]]` is a further one, which
    takes over what it does not say itself, but for the key: that goes to nobody else.

    Raises:
        InvalidInputError: it cannot be read, or an address is none.
        UnavailableError: the variable with a key is not set.
    """
    try:
        found = tomllib.loads(path.read_text("utf-8"))
        shared = {name: found.pop(name) for name in SHARED if name in found}
        further = msgspec.convert(found.pop(FURTHER, []), _Tables)
        inherited = {name: value for name, value in found.items() if name != "api_key"}
        upstreams = [found, *({**inherited, **each} for each in further)]
        read = [msgspec.convert(each, Upstream, dec_hook=_secret) for each in upstreams]
        settings = msgspec.convert(shared, _Shared)
    except (OSError, UnicodeDecodeError):
        raise InvalidInputError("remote.toml cannot be read") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidInputError(f"remote.toml: {error}") from None
    if len({each.protocol == "oip" for each in read}) > 1:
        raise InvalidInputError("remote.toml: all upstreams serve tensors (oip), or none does")
    return RemoteSettings(
        upstreams=[_revealed(each) for each in read], **msgspec.structs.asdict(settings)
    )


_Tables = Annotated[list[dict[str, Any]], Meta(max_length=MAX_UPSTREAMS)]


def _revealed(found: Upstream) -> Upstream:
    for name, address in (("url", found.url), ("proxy", found.proxy)):
        if address or name == "url":
            _check_address(name, address)
    key = found.api_key.reveal()
    if not key.startswith(ENVIRONMENT):
        return found
    variable = key.removeprefix(ENVIRONMENT)
    value = os.environ.get(variable, "")
    if not value:
        raise UnavailableError(f"remote.toml: the variable {variable[:80]} is not set")
    return msgspec.structs.replace(found, api_key=Secret(value))


def _secret(kind: type, value: object) -> object:
    return kind(str(value))


def _check_address(name: str, address: str) -> None:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        raise InvalidInputError(f"remote.toml: {name} is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(f"remote.toml: {name} is http://… or https://…")
    if name == "url" and (parts.username or parts.password or parts.query or parts.fragment):
        raise InvalidInputError("remote.toml: the url has no user, query or fragment; use api_key")
