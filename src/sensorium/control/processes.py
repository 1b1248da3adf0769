"""Operations in worker processes: bytes out, bytes back."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct

from sensorium.control.admission import Lane
from sensorium.control.body import Body
from sensorium.control.settings import ControlSettings
from sensorium.control.slots import Slots
from sensorium.core.dispatch import Answer, Caller, Encoded, Payload
from sensorium.core.errors import ErrorBody, SensoriumError, UnavailableError, from_body
from sensorium.core.operation import Operation
from sensorium.core.remote import SERVE, CallHeader, Report, pack_item, unpack_request
from sensorium.core.telemetry import request_id
from sensorium.workers.limits import limited
from sensorium.workers.pool import Pool
from sensorium.workers.process import RunningCall, WorkerDiedError, WorkFailedError

STREAMS_PER_WORKER = 32


class Processes:
    """The workers for single calls, and those that listening calls are pinned to.

    Big calls together never hold the last worker, so small ones find one.
    """

    def __init__(self, settings: ControlSettings, environment: Mapping[str, str]) -> None:
        size = settings.worker_count
        environment = {**environment, **limited(settings.worker_memory_bytes)}
        self.lane = Lane("process", size, settings.queue)
        self.big_lane = Lane("big", max(1, size - 1), settings.queue)
        self.stream_lane = Lane("stream", settings.streams, settings.queue)
        self.pool = Pool(SERVE, size, environment=environment)
        self.stream_pool = Pool(
            SERVE, -(-settings.streams // STREAMS_PER_WORKER), STREAMS_PER_WORKER, environment
        )
        self._max_bytes = settings.max_body_bytes
        self._cpu_s = settings.task_cpu_s or None
        self._escalate_bytes = settings.escalate_bytes

    def start(self) -> None:
        """Spawn the workers for single calls; those for streams come with the first stream."""
        self.pool.start()

    async def stop(self) -> None:
        """End the workers."""
        await asyncio.gather(self.pool.stop(), self.stream_pool.stop())

    async def unary(
        self, operation: Operation, body: Body, caller: Caller, deadline: float, *, nested: bool
    ) -> Answer:
        """Run a unary operation in a worker."""
        answer = await self._unary(operation, body, caller, deadline, nested=nested)
        return Answer(encoded=answer)

    async def read(
        self, operation: Operation, body: Body, caller: Caller, deadline: float
    ) -> Struct:
        """Have a request read and validated in a worker, for an operation that runs here."""
        packed = await self._unary(operation, body, caller, deadline, only_read=True)
        return unpack_request(packed, operation.request)

    async def _unary(
        self,
        operation: Operation,
        body: Body,
        caller: Caller,
        deadline: float,
        *,
        nested: bool = False,
        only_read: bool = False,
    ) -> bytes:
        self.start()
        big = body.size > self._escalate_bytes
        lanes = [self.big_lane, self.lane] if big else [self.lane]
        timeout_s = deadline - time.monotonic()
        header = self._header(operation, body.source, caller, timeout_s, only_read=only_read)
        async with self._running(
            self.pool, lanes, operation, header, caller, nested=nested
        ) as call:
            await _send(call, body)
            answer = await call.answer()
            if answer is None or await call.answer() is not None:
                raise SensoriumError
            return answer

    async def stream(
        self,
        operation: Operation,
        body: Body,
        caller: Caller,
        incoming: AsyncIterator[Payload] | None,
    ) -> AsyncGenerator[Answer, None]:
        """Run a streaming operation, pinned to one worker for the length of its call."""
        self.stream_pool.start()  # the first stream brings their workers
        lanes = [self.stream_lane]
        header = self._header(operation, body.source, caller, None)
        async with self._running(
            self.stream_pool, lanes, operation, header, caller, nested=False
        ) as call:
            await _send(call, body)
            feeder = asyncio.create_task(_feed(call, incoming)) if incoming is not None else None
            try:
                while (answer := await call.answer()) is not None:
                    yield Answer(encoded=answer)
            finally:
                if feeder is not None:
                    await _finish(feeder)

    def _header(
        self,
        operation: Operation,
        source: Encoded,
        caller: Caller,
        timeout_s: float | None,
        *,
        only_read: bool = False,
    ) -> bytes:
        header = CallHeader(
            target=operation.target,
            timeout_s=timeout_s,
            cpu_s=self._cpu_s,
            max_bytes=self._max_bytes,
            media_type=source.media_type,
            content_encoding=source.content_encoding,
            fields=source.fields,
            request_id=request_id.get(),
            answer_type=caller.answer_type,
            only_read=only_read,
        )
        return msgspec.json.encode(header)

    @asynccontextmanager
    async def _running(
        self,
        pool: Pool,
        lanes: Sequence[Lane],
        operation: Operation,
        header: bytes,
        caller: Caller,
        *,
        nested: bool,
    ) -> AsyncGenerator[RunningCall, None]:
        """A call in a worker: its slots held until the worker is free, its errors ours."""
        slots = Slots(lanes)
        await slots.take(operation, caller, nested=nested)
        try:
            call = await pool.call(header)
        except WorkerDiedError:
            slots.give_back()
            raise UnavailableError("no worker process can be started; the log says why") from None
        except BaseException:
            slots.give_back()
            raise
        call.done.add_done_callback(slots.give_back)
        if caller.on_progress is not None:
            call.on_report = _reporter(caller.on_progress)
        try:
            yield call
        except WorkFailedError as error:
            raise _failure(error.args[0]) from None
        except WorkerDiedError:
            raise UnavailableError(
                "the worker that ran this call died and is being replaced; try again",
                retry_after_s=1.0,
            ) from None
        finally:
            call.cancel()


async def _send(call: RunningCall, body: Body) -> None:
    pieces, body.pieces = body.pieces[::-1], []
    while pieces:  # each piece is freed as it goes
        await call.write(pieces.pop())
    await call.start()


async def _feed(call: RunningCall, incoming: AsyncIterator[Payload]) -> None:
    try:
        async for item in incoming:
            await call.item(_item_bytes(item))
        await call.end()
    except Exception as error:
        # What is wrong with the input is the caller's to hear, in place of the next answer.
        call.abort(error)


def _item_bytes(item: Payload) -> bytes:
    if isinstance(item, Encoded):
        assert isinstance(item.body, bytes | bytearray)
        return pack_item(item.media_type, item.body)
    return pack_item("", msgspec.json.encode(item))


async def _finish(feeder: "asyncio.Task[None]") -> None:
    feeder.cancel()
    await asyncio.gather(feeder, return_exceptions=True)


def _reporter(heard: Callable[[int, int | None, str], None]) -> Callable[[bytes], None]:
    def hear(body: bytes) -> None:
        report = msgspec.json.decode(body, type=Report)
        heard(report.done, report.total, report.unit)

    return hear


def _failure(body: bytes) -> SensoriumError:
    if not body:
        return SensoriumError()
    return from_body(msgspec.json.decode(body, type=ErrorBody))
