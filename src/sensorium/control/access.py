"""Who calls, what they may do, and how often."""

import hmac
import time

from sensorium.control.keys import KeyStore
from sensorium.core.dispatch import ANONYMOUS, LOCAL, Principal
from sensorium.core.errors import ForbiddenError, RateLimitedError, UnauthenticatedError

GIVEN = "given-"
"""What the ids of keys from the settings begin with; those of others are hexadecimal."""
_TRACKED = 10_000


class Access:
    """The keys that count here, and whether one is needed at all.

    `given` are keys from the settings, which may call everything. Without any key, and with
    `key_needed` false, everybody is welcome.
    """

    def __init__(self, store: KeyStore | None, given: list[str], *, key_needed: bool) -> None:
        self._store = store
        self._given = [key.encode() for key in given]
        self._key_needed = key_needed
        self._buckets: dict[str, _Bucket] = {}

    @property
    def key_needed(self) -> bool:
        """Whether a call to what is not public needs a key."""
        # A key that was revoked still says that this server is not for everybody.
        made = self._store is not None and self._store.any_made()
        return self._key_needed or bool(self._given) or made

    @property
    def has_key(self) -> bool:
        """Whether there is any valid key."""
        return bool(self._given) or (self._store is not None and self._store.any_valid())

    def give(self, key: str) -> None:
        """One more key that may call everything, for as long as this process lives."""
        self._given.append(key.encode())

    def identify(self, credential: str | None) -> Principal:
        """Whose credential that is; none is `ANONYMOUS`.

        Where no key is needed, any is as good as none: clients of other servers insist on one.

        Raises:
            UnauthenticatedError: it is nobody's.
        """
        if credential is None:
            return ANONYMOUS
        encoded = credential.encode("utf-8", "replace")
        for index, known in enumerate(self._given):
            if hmac.compare_digest(encoded, known):
                return Principal(f"{GIVEN}{index}")
        key = self._store.find(credential) if self._store is not None else None
        if key is not None:
            return key.principal()
        if not self.key_needed:
            return ANONYMOUS
        raise UnauthenticatedError("this API key is not known here, or was revoked")

    def renew(self, principal: Principal) -> Principal:
        """Somebody identified earlier, as their key is now.

        Raises:
            UnauthenticatedError: it was revoked since.
        """
        if self._store is None or principal in (ANONYMOUS, LOCAL) or principal.id.startswith(GIVEN):
            return principal
        key = self._store.valid(principal.id)
        if key is None:
            raise UnauthenticatedError("this API key was revoked")
        return key.principal()

    def authorise(self, principal: Principal, name: str, *, public: bool) -> None:
        """Let it pass, or raise.

        Raises:
            UnauthenticatedError: a key is needed and none was given.
            ForbiddenError: the key does not cover `name`.
            RateLimitedError: it covers it, but not so often.
        """
        if principal is LOCAL or public:
            return
        if principal is ANONYMOUS:
            if self.key_needed:
                raise UnauthenticatedError
            return
        if not principal.covers(name):
            raise ForbiddenError(f"this key may not call {name}")
        if principal.rate_per_s is not None:
            self._spend(principal.id, principal.rate_per_s)

    def _spend(self, principal_id: str, rate_per_s: float) -> None:
        bucket = self._buckets.get(principal_id)
        if bucket is None:
            if len(self._buckets) >= _TRACKED:
                self._buckets.clear()
            bucket = self._buckets[principal_id] = _Bucket(rate_per_s)
        wait_s = bucket.take(rate_per_s)
        if wait_s > 0:
            raise RateLimitedError(retry_after_s=max(0.001, round(wait_s, 3)))


class _Bucket:
    """A token bucket that holds one second's worth, and at least one call."""

    __slots__ = ("_at", "_tokens")

    def __init__(self, rate_per_s: float) -> None:
        self._tokens = max(1.0, rate_per_s)
        self._at = time.monotonic()

    def take(self, rate_per_s: float) -> float:
        """Take a token; returns the seconds until there is one, 0 if there was."""
        now = time.monotonic()
        self._tokens = min(max(1.0, rate_per_s), self._tokens + (now - self._at) * rate_per_s)
        self._at = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / rate_per_s
        self._tokens -= 1.0
        return 0.0
