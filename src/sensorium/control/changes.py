"""Calls that change something: made once per idempotency key, and on the record."""

from functools import partial

import msgspec

from sensorium.control.audit import Audit
from sensorium.control.idempotency import Idempotency, Run
from sensorium.control.record import code_of
from sensorium.core.dispatch import Answer, Caller, Encoded, Payload
from sensorium.core.operation import Operation


class Changes:
    """`audit` is None in a program that uses Sensorium as a library."""

    def __init__(self, audit: Audit | None) -> None:
        self._audit = audit
        self._idempotency = Idempotency()

    async def make(
        self,
        operation: Operation,
        payload: Payload,
        caller: Caller,
        run: Run,
    ) -> Answer:
        """Run it, unless this caller's key has its answer already."""
        recorded = partial(self._recorded, operation, caller, run)
        if caller.idempotency_key is None:
            return await recorded()
        key = (caller.principal.id, operation.name, caller.idempotency_key)
        return await self._idempotency.once(key, _content(payload), recorded)

    def note(self, operation: Operation, caller: Caller, code: str) -> None:
        """Have a stream that changed something on the record."""
        if self._audit is not None:
            self._audit.record(operation.name, caller, code)

    async def _recorded(self, operation: Operation, caller: Caller, run: Run) -> Answer:
        code = "ok"
        try:
            return await run()
        except BaseException as error:
            code = code_of(error)
            raise
        finally:
            self.note(operation, caller, code)


def _content(payload: Payload) -> bytes:
    """What makes two requests the same."""
    if not isinstance(payload, Encoded):
        return msgspec.json.encode(payload)
    assert isinstance(payload.body, bytes | bytearray)
    beside = [payload.media_type, payload.content_encoding, sorted(payload.fields.items())]
    return msgspec.json.encode(beside) + payload.body
