"""API keys, kept hashed in one file of the data folder."""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sensorium.core.dispatch import Principal
from sensorium.core.errors import NotFoundError, UnavailableError
from sensorium.core.loading import load

FILE = "keys.json"
MARK = "sns"
LOCK_S = 10.0


class Key(Struct, frozen=True, kw_only=True):
    """A key as it is kept; the secret itself is nowhere."""

    id: str
    name: str
    digest: str
    """SHA-256 of the secret. The secret is 32 random bytes, so a slow hash would add nothing."""
    created: float
    operations: tuple[str, ...] = ("*",)
    rate_per_s: Annotated[float, Meta(gt=0)] | None = None
    tokens_per_minute: Annotated[int, Meta(ge=1)] | None = None
    revoked: float | None = None

    def principal(self) -> Principal:
        """Whoever holds it."""
        return Principal(self.id, self.operations, self.rate_per_s, self.tokens_per_minute)


class KeyFile(Struct, frozen=True, kw_only=True):
    """The file's content."""

    version: int = 1
    keys: list[Key] = []


class KeyStore:
    """The keys under a data folder; sees within a second what another process changed."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._keys: dict[str, Key] = {}
        self._stamp: tuple[int, int] | None = None
        self._checked = float("-inf")

    def all(self) -> list[Key]:
        """Every key, revoked ones included, oldest first."""
        self._refresh()
        return sorted(self._keys.values(), key=lambda key: key.created)

    def any_made(self) -> bool:
        """Whether there ever was a key, a revoked one included."""
        self._refresh_each_second()
        return bool(self._keys)

    def any_valid(self) -> bool:
        """Whether there is a key that is not revoked."""
        self._refresh_each_second()
        return any(key.revoked is None for key in self._keys.values())

    def create(
        self,
        name: str,
        operations: tuple[str, ...] = ("*",),
        rate_per_s: float | None = None,
        tokens_per_minute: int | None = None,
    ) -> tuple[Key, str]:
        """Make a key; returns it with its text, which is shown this once and kept nowhere."""
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        key = Key(
            id=key_id,
            name=name,
            digest=_digest(secret),
            created=time.time(),
            operations=operations,
            rate_per_s=rate_per_s,
            tokens_per_minute=tokens_per_minute,
        )
        with self._changing():
            self._write({**self._keys, key_id: key})
        return key, f"{MARK}_{key_id}_{secret}"

    def revoke(self, key_id: str) -> Key:
        """Make a key worthless.

        Raises:
            NotFoundError: there is no such key.
        """
        with self._changing():
            if key_id not in self._keys:
                raise NotFoundError(
                    f"there is no key {key_id[:40]!r}; `sensorium keys list` shows them"
                )
            key = msgspec.structs.replace(self._keys[key_id], revoked=time.time())
            self._write({**self._keys, key_id: key})
        return key

    def find(self, text: str) -> Key | None:
        """The valid key of that text, compared in constant time."""
        self._refresh_each_second()
        mark, _, rest = text.partition("_")
        key_id, _, secret = rest.partition("_")
        key = self._keys.get(key_id)
        expected = key.digest if key else ""
        same = hmac.compare_digest(_digest(secret), expected or _digest(""))
        return key if key and same and mark == MARK and key.revoked is None else None

    def valid(self, key_id: str) -> Key | None:
        """The key of that id, unless it was revoked."""
        self._refresh_each_second()
        key = self._keys.get(key_id)
        return key if key and key.revoked is None else None

    def _refresh_each_second(self) -> None:
        now = time.monotonic()
        if now - self._checked >= 1.0:
            self._refresh()
            self._checked = now

    def _refresh(self) -> None:
        """Read the file if it has changed.

        Raises:
            UnavailableError: it cannot be read; no key counts until it can.
        """
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                content = msgspec.json.decode(self._path.read_bytes(), type=KeyFile)
                self._keys = {key.id: key for key in content.keys}
                self._stamp = stamp
        except FileNotFoundError:
            self._keys, self._stamp = {}, None
        except OSError as error:
            raise UnavailableError(
                f"{FILE} in the data folder cannot be read: {error.strerror}"
            ) from None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise UnavailableError(
                f"{FILE} in the data folder is damaged; restore it, or delete it and make new keys"
            ) from None

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """The newest keys, which no other process changes until the block ends.

        Raises:
            UnavailableError: another process has been changing them for long.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = load("filelock:FileLock")(self._path.with_name(f".{FILE}.lock"), mode=0o600)
        try:
            with lock.acquire(timeout=LOCK_S):
                self._refresh()
                yield
        except TimeoutError:
            raise UnavailableError(
                f"another process holds {lock.lock_file}; try again when it is done"
            ) from None

    def _write(self, keys: dict[str, Key]) -> None:
        draft = self._path.with_name(f".{FILE}.{os.getpid()}")
        content = msgspec.json.encode(KeyFile(keys=list(keys.values())))
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.format(content, indent=1))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        self._refresh()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
