"""What a caller writes to name a model that is to be fetched."""

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from sensorium.core.errors import InvalidInputError
from sensorium.models.artifact import SUFFIXES, folder_name
from sensorium.models.catalogue.library import library
from sensorium.models.catalogue.paths import file_of, is_safe, stem_of
from sensorium.models.catalogue.recognition import weights_of

MAX_CHARS = 2_000
HOW = (
    "write org/name, hf://org/name@revision:file, https://host/path/model.onnx#sha256=…, "
    "file:///path or a name of the library"
)
_HUB = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})"
    r"(?:@(?P<revision>[^:@\s]+))?(?::(?P<file>.+))?",
    re.ASCII,
)
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SINGLE_FILES = (*SUFFIXES, ".txt")
"""What an address may end with; `.txt` is for LightGBM, and its content is looked at."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A model that is to be fetched."""

    kind: Literal["hub", "web", "local"]
    location: str
    """`org/name` of the hub, an address, or an absolute path."""
    folder: str
    """The name of the folder that it goes into."""
    revision: str = ""
    files: tuple[str, ...] = ()
    """Files of the repository that are the models; empty: the usual choice."""
    sha256: str = ""
    """What the one model file must hash to."""

    @property
    def source(self) -> str:
        """The source as a manifest names it: without secrets and paths of this machine."""
        if self.kind == "hub":
            return f"hf://{self.location}"
        if self.kind == "web":
            return self.location.partition("?")[0]
        return f"file:{hashlib.sha256(self.location.encode()).hexdigest()[:16]}"


def parse(text: str, sha256: str = "") -> Reference:
    """The model that a text names.

    Raises:
        InvalidInputError: it names none; the message says what to write.
    """
    text = text.strip()
    if not text or len(text) > MAX_CHARS or not text.isprintable():
        raise InvalidInputError(f"this names no model: {HOW}")
    digest = _digest(sha256)
    scheme, mark, rest = text.partition("://")
    if not mark:
        return _short(text, digest)
    match scheme.lower():
        case "hf":
            return _hub(rest, digest)
        case "https" | "http":
            return _web(text, digest)
        case "file":
            return _local(rest, digest)
    raise InvalidInputError(f"models are not fetched by {scheme[:20]!r}: {HOW}")


def _short(text: str, digest: str) -> Reference:
    known = library().get(text)
    if known is None:
        if "/" not in text:
            names = ", ".join(library())
            raise InvalidInputError(f"{text[:80]!r} is not in the library ({names}): {HOW}")
        return _hub(text, digest)
    return Reference(
        kind="hub",
        location=known.repository,
        folder=known.folder,
        revision=known.revision,
        files=known.files,
        sha256=digest or (known.sha256.get(known.files[0], "") if len(known.files) == 1 else ""),
    )


def _hub(text: str, digest: str) -> Reference:
    found = _HUB.fullmatch(text)
    if found is None:
        raise InvalidInputError(f"{text[:80]!r} is no repository: {HOW}")
    repository, revision, file = found["repository"], found["revision"] or "", found["file"] or ""
    if revision and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise InvalidInputError(f"{revision[:80]!r} is no branch, tag or commit: {HOW}")
    if file and not is_safe(file):
        raise InvalidInputError(
            f"{file[:80]!r} is no file of a repository: write its path as the hub lists it"
        )
    return Reference(
        kind="hub",
        location=repository,
        folder=_folder(repository),
        revision=revision,
        files=(file,) if file else (),
        sha256=digest,
    )


def _web(text: str, digest: str) -> Reference:
    address, _, fragment = text.partition("#")
    parts = checked_address(address)
    if fragment:
        key, _, value = fragment.partition("=")
        if key != "sha256":
            raise InvalidInputError("only #sha256=… may follow an address")
        told = _digest(value)
        if digest and digest != told:
            raise InvalidInputError("the address and the parameter name two different sha256")
        digest = told
    file = file_of(unquote(parts.path))
    if not is_safe(file) or not file.lower().endswith(_SINGLE_FILES):
        kinds = ", ".join(_SINGLE_FILES)
        raise InvalidInputError(f"the address names no model file: it must end in {kinds}")
    if weights_of(file, (file,)) is None:
        raise InvalidInputError("a part of a model is no model: the parts are fetched from a hub")
    return Reference(
        kind="web",
        location=address,
        folder=_folder(_plain(stem_of(file))),
        files=(file,),
        sha256=digest,
    )


def checked_address(address: str) -> SplitResult:
    """The parts of a web address that may be asked.

    Raises:
        InvalidInputError: it is malformed, holds a password, or is plain http to another machine.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidInputError(f"this is no web address: {HOW}") from None
    plain = address.isascii() and not re.search(r"[\\\s\x00-\x20<>\"^`{|}]", address)
    if not host or not plain:
        raise InvalidInputError("this is no web address: percent-encode what is not plain ASCII")
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError("an address must not hold a user name or a password")
    if parts.scheme == "http" and not is_loopback(host):
        raise InvalidInputError("plain http is only for this machine itself: write https://")
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host's name says that it is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _local(text: str, digest: str) -> Reference:
    host, slash, rest = text.partition("/")
    path = unquote(slash + rest)
    if host not in ("", "localhost") or not slash or "\0" in path:
        raise InvalidInputError("a file is named by its whole path: write file:///path/to/model")
    if "?" in text or "#" in text:
        raise InvalidInputError("percent-encode '?' and '#' in the path of a file")
    name = Path(path).name
    is_file = name.lower().endswith(_SINGLE_FILES)
    return Reference(
        kind="local",
        location=path,
        folder=_folder(_plain(stem_of(name) if is_file else name)),
        sha256=digest,
    )


def _plain(name: str) -> str:
    """A name that a folder may have, as near to the given one as can be."""
    return re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", name)).lstrip("._-")


def _folder(name: str) -> str:
    try:
        return folder_name(name)
    except ValueError as error:
        raise InvalidInputError(f"{name[:80]!r} cannot be a model's name: {error}") from None


def _digest(text: str) -> str:
    digest = text.strip().lower()
    if digest and not _SHA256.fullmatch(digest):
        raise InvalidInputError("a sha256 has 64 hexadecimal digits")
    return digest
