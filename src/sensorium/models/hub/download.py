"""One file while it is fetched: which parts are missing, and which answers are taken for it."""

from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

from sensorium.core.errors import UnavailableError
from sensorium.models.hub.answers import (
    content_length,
    content_range,
    failure,
    size_after_all,
    strong_etag,
)
from sensorium.models.hub.connection import Answer, Target, TransientError
from sensorium.models.hub.journal import BLOCK, Header, Journal, boot_id
from sensorium.models.hub.parts import ChangedError, Item, Part

MAX_IGNORED = 3
"""How often a server may send the whole file in place of a range before it is believed."""


class Download:
    """The state of one file; the transfer's lock guards it."""

    def __init__(
        self, item: Item, parts: Path, placed: Path, *, range_bytes: int, connections: int
    ) -> None:
        """`placed` is where it lies when it is finished, `parts` the folder of its journal."""
        self.item = item
        self.placed = placed
        self.journal = Journal(parts, item.path)
        self.size = item.size
        self.etag = ""
        self.generation = 0
        """Counts the beginnings: a part of an earlier one is worthless."""
        self.received = 0
        self.in_ranges = True
        self.failures = 0
        self.restarts = 0
        self.digest = ""
        """Its SHA-256, once it is complete and right."""
        self._opened = False
        self._ignored = 0
        self._location: Target | None = None
        self._range_bytes = max(BLOCK, range_bytes // BLOCK * BLOCK)
        self._connections = connections
        self._resume()

    @property
    def host(self) -> str:
        """Whose file it is, for messages."""
        return urlsplit(self.item.url).hostname or "the server"

    @property
    def target(self) -> Target:
        """Where to ask: where the last redirect led, as long as that works."""
        return self._location or Target(self.item.url, self.item.least)

    @property
    def finished_file(self) -> Path:
        """Where it lies when it is complete, before and after it was placed."""
        return self.journal.data if self.journal.data.exists() else self.placed

    def first_part(self) -> Part | None:
        """The part whose answer tells about the others; None where nothing is missing."""
        if self.journal.header is not None:
            missing = self.journal.missing(self._step())
            return self._part(*missing[0]) if missing else None
        if self.size == 0:
            self._begin_journal()
            return None
        end = self._range_bytes if self.size is None else min(self._step(), self.size)
        return self._part(0, end)

    def headers(self, part: Part) -> dict[str, str]:
        """What to ask for a part."""
        if not self.in_ranges or part.end is None:
            return {}
        headers = {"Range": f"bytes={part.at}-{part.end - 1}"}
        if self.etag:
            headers["If-Range"] = self.etag
        return headers

    def accept(self, part: Part, asked: Target, answer: Answer) -> list[Part]:
        """Take an answer for a part that was asked of a target.

        Returns the parts that may be asked for from now on.

        Raises:
            TransientError: worth another attempt.
            ChangedError: the file is to be begun anew.
            SensoriumError: it cannot be fetched.
        """
        if answer.status not in (200, 206):
            raise self._refusal(asked, answer)
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise UnavailableError(f"{self.host} sends the file compressed, though told not to")
        if asked.url == self.item.url and answer.target.url != asked.url:
            self._location = answer.target
        if answer.status == 206:
            self._accept_range(part, answer.headers)
        else:
            self._accept_whole(part, answer.headers)
        if self._opened:
            return []
        self._opened = True
        return self._open(part)

    def advance(self, part: Part, count: int) -> bool:
        """`count` more bytes of a part are on disk; whether a block became complete."""
        part.at += count
        part.failures = 0
        self.received += count
        if part.end is None:
            return False
        before = part.at - count
        if part.at // BLOCK == before // BLOCK and part.at < part.end:
            return False
        self.journal.mark(max(part.start, before // BLOCK * BLOCK), part.at)
        return True

    def ended(self, part: Part) -> None:
        """An answer of unknown length is over: the file has as many bytes as came.

        Raises:
            UnavailableError: it should have had more.
        """
        self._same_size(part.at)
        self.size = part.end = part.at
        self.journal.complete(part.at)

    def begin_anew(self) -> None:
        """Forget everything that came."""
        self.generation += 1
        self.journal.discard()
        self.size = self.item.size
        self.etag = ""
        self.digest = ""
        self.received = 0
        self._opened = False
        self._location = None

    def use_one_stream(self) -> None:
        """Ask for the file as a whole from now on."""
        self.in_ranges = False

    def wrong_size(self, size: int) -> UnavailableError:
        """Throw it away for a size that is not the announced one; returns what to say."""
        announced = self.size
        self.begin_anew()
        return UnavailableError(
            f"{self.host} announced {announced} bytes for {self.item.path} and sends {size}: "
            "nothing of it was kept",
            details={"reason": "wrong_size", "expected": announced, "actual": size},
        )

    def _resume(self) -> None:
        header = self.journal.load()
        if header is None:
            return
        known = self.item.known_as
        if not self._goes_on(header):
            self.journal.discard()
        else:
            self.size = header.size
            self.received = header.size if header.finished else self.journal.resumed
            self.digest = header.finished
            self.etag = "" if known else header.etag

    def _goes_on(self, header: Header) -> bool:
        """Whether what an earlier pull left is of this file, and can be gone on with."""
        known = self.item.known_as
        if header.size != (self.size if self.size is not None else header.size):
            return False
        if header.finished and not (self.placed.exists() or self.journal.data.exists()):
            return False
        if known:
            return header.etag == known
        # Without a validator nothing would tell whether it is still the same file.
        same = header.url == _without_query(self.item.url)
        return same and bool(header.etag or header.finished)

    def _step(self) -> int:
        """How long a part is: short enough that each connection gets one."""
        size = self.size or 0
        share = -(-size // self._connections)
        blocks = -(-share // BLOCK)
        return max(BLOCK, min(self._range_bytes, blocks * BLOCK))

    def _part(self, start: int, end: int) -> Part:
        return Part(start, end if self.in_ranges else self.size, self.generation, at=start)

    def _open(self, part: Part) -> list[Part]:
        if self.journal.header is None:
            self._begin_journal()
        if not self.in_ranges or part.end is None:
            return []
        missing = self.journal.missing(self._step())
        return [self._part(max(start, part.end), end) for start, end in missing if end > part.end]

    def _begin_journal(self) -> None:
        self.journal.begin(
            Header(
                url=_without_query(self.item.url),
                etag=self.item.known_as or self.etag,
                size=self.size or 0,
                boot="" if self.item.known_as else boot_id(),
            )
        )

    def _accept_range(self, part: Part, headers: Message) -> None:
        first, last, total = content_range(headers)
        if first != part.at:
            raise TransientError("a part that was not asked for")
        self._same_size(total)
        self._same_file(headers)
        self.size = total
        if part.end is None or part.end > total:
            part.end = total
        if last >= part.end:
            raise TransientError("more than was asked for")

    def _accept_whole(self, part: Part, headers: Message) -> None:
        if part.at > 0 or (self._opened and self.in_ranges) or self.journal.resumed:
            self._same_file(headers)
            self._ignored += 1
            if self.journal.resumed and not self._opened:
                raise ChangedError  # what was there is not of this file, or of no use here
            if self._ignored < MAX_IGNORED:
                raise TransientError("the whole in place of a part")
            self.use_one_stream()
            raise ChangedError
        size = content_length(headers)
        if size is not None:
            self._same_size(size)
            self.size = size
        self._same_file(headers)
        self.use_one_stream()
        part.end = size

    def _same_size(self, size: int) -> None:
        if self.size is None or self.size == size:
            return
        if self._opened and self.item.size is None:
            raise ChangedError
        raise self.wrong_size(size)

    def _same_file(self, headers: Message) -> None:
        etag = strong_etag(headers)
        if etag and self.etag and etag != self.etag:
            raise ChangedError
        self.etag = etag or self.etag

    def _refusal(self, asked: Target, answer: Answer) -> Exception:
        status = answer.status
        if asked.url != self.item.url and status in (400, 401, 403, 404, 410):
            self._location = None  # a signed address lives for minutes: have a new one made
            return TransientError(f"an answer of {status}")
        if status == 416:
            size = size_after_all(answer.headers)
            return ChangedError() if size is None else self.wrong_size(size)
        return failure(status, answer.headers, self.host)


def _without_query(url: str) -> str:
    return url.partition("?")[0]
