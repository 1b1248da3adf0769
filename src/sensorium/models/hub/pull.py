"""`pull`: fetch a model into the folder of models, telling how far it is."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from sensorium.core.errors import ConflictError, InvalidInputError, UnavailableError
from sensorium.core.loading import load
from sensorium.models.catalogue.folders import files_in
from sensorium.models.catalogue.manifest import (
    Entry,
    Manifest,
    ManifestFile,
    read_manifest,
)
from sensorium.models.catalogue.partial import lock_of, take
from sensorium.models.hub.local import copy_files, entries_of, find_source
from sensorium.models.hub.outcome import outcome_of
from sensorium.models.hub.place import Place
from sensorium.models.hub.plan import (
    Plan,
    already_there,
    local_manifest,
    plan_hub,
    plan_web,
    pulled_before,
)
from sensorium.models.hub.progress import Meter, PullOutcome, PullProgress
from sensorium.models.hub.reference import Reference, parse
from sensorium.models.hub.room import check_room, disk_problem
from sensorium.models.hub.selection import Listing
from sensorium.models.hub.soundness import Kept, find_damaged
from sensorium.models.hub.staging import Staging, is_empty, sweep
from sensorium.models.hub.transfer import Transfer
from sensorium.models.hub.unchanged import is_unchanged
from sensorium.models.hub.waiting import Teller, on_a_thread, until

R = TypeVar("R")
Pause = Callable[[float], None]
Steps = Generator[PullProgress, None, PullOutcome]


def pull(
    reference: str, place: Place, *, check: Callable[[], None], sha256: str = ""
) -> Generator[PullProgress, None, None]:
    """Fetch the model that a reference names, see `reference.parse`; the last item has the outcome.

    `check` is called at least every 50 ms, from the thread that iterates, and ends the pull by
    raising: what came in is kept, and the next pull goes on with it. So it is after a failure and
    after a kill. Pulls of one model wait for each other, over processes too. Files that are here
    are hashed again, and fetched anew where they are not what was fetched.

    Raises:
        InvalidInputError: the reference names no model, or one of several.
        NotFoundError, ForbiddenError: it is not there, or not for us.
        ConflictError: another model has its name, or files of the user lie where its are to go.
        UnavailableError: it cannot be fetched now; `details["reason"]` may be `no_room`,
            `unwritable`, `wrong_hash`, `wrong_size`, `changing`, `broken`, `redirect`, `address`.
    """
    return _Pull(parse(reference, sha256), place, check).run()


class _Pull:
    def __init__(self, reference: Reference, place: Place, check: Callable[[], None]) -> None:
        self._reference = reference
        self._place = place
        self._check = check
        self._staging = Staging(place.cache, reference.folder)
        self._meter = Meter()
        self._began = time.time()

    def run(self) -> Generator[PullProgress, None, None]:
        lock: Any = None
        try:
            lock = lock_of(self._place.cache, self._reference.folder)
            yield from self._take(lock)
            sweep(self._place.cache)
            outcome = yield from self._pull()
        except OSError as error:
            raise disk_problem(error) from error
        finally:
            if lock is not None:
                lock.release()
        size = outcome.size_bytes
        yield PullProgress(phase="done", done_bytes=size, total_bytes=size, outcome=outcome)

    def _take(self, lock: Any) -> Iterator[PullProgress]:
        def taken(seconds: float) -> bool:
            if take(lock):
                return True
            time.sleep(seconds)
            return False

        for _ in until(taken, self._check):
            told = self._staging.told()
            if told is None:
                yield PullProgress(phase="waiting")
            else:
                yield msgspec.structs.replace(told, phase="waiting", outcome=None)

    def _pull(self) -> Steps:
        yield PullProgress(phase="resolving")
        self._staging.recover()
        old = read_manifest(self._staging.target)
        self._refuse_foreign(old)
        if self._reference.kind == "local":
            return (yield from self._copy())
        if self._place.uses_no_network:
            entry = yield from self._sound_entry(old)
            if old is None or entry is None:
                raise UnavailableError(
                    "this model is not here or damaged, and the server is set to use no network",
                    details={"reason": "offline"},
                )
            return self._outcome(old, entry)
        if self._reference.kind == "web":
            return (yield from self._pull_web(old))
        return (yield from self._pull_hub(old))

    def _sound_entry(self, old: Manifest | None) -> Generator[PullProgress, None, Entry | None]:
        """The model that is meant, if it is here and all its files are as they were fetched."""
        entry = pulled_before(self._reference, old)
        if old is None or entry is None:
            return None
        files = [old.by_path[path] for path in entry.files]
        if not all(self._present(file) for file in files):
            return None
        return None if (yield from self._damaged(old, files)) else entry

    def _damaged(
        self, old: Manifest, files: Sequence[ManifestFile]
    ) -> Generator[PullProgress, None, frozenset[str]]:
        """Which files of the present model are not what its manifest says."""
        if old.fetched_at >= self._began:
            return frozenset()  # a pull that we waited for has looked
        target = self._staging.target
        kept = [Kept(file.path, target / file.path, file.size, file.sha256) for file in files]
        return (yield from find_damaged(kept, self._check))

    def _pull_hub(self, old: Manifest | None) -> Steps:
        reference, place = self._reference, self._place

        def ask(pause: Pause) -> Listing:
            listing: Listing = load("sensorium.models.hub.listing:list_repository")(
                reference.location,
                reference.revision,
                endpoint=place.hub,
                token=place.token,
                pause=pause,
            )
            return listing

        listing = yield from self._asking(ask)
        plan = plan_hub(reference, listing, old, self._present)
        if old is not None:
            damaged = yield from self._damaged(old, plan.reused)
            if damaged:
                plan = plan_hub(reference, listing, old, self._present, damaged)
            if already_there(plan, old):
                return self._outcome(old, plan.entries[0])
        return (yield from self._fetch(plan))

    def _pull_web(self, old: Manifest | None) -> Steps:
        entry = yield from self._sound_entry(old)
        if old is not None and entry is not None:
            just_now = old.fetched_at >= self._began
            if just_now or self._reference.sha256:
                return self._outcome(old, entry)
            same = yield from self._asking(
                lambda _: is_unchanged(self._reference.location, old.files[0].etag, self._place)
            )
            if same:
                return self._outcome(old, entry)
        return (yield from self._fetch(plan_web(self._reference, near=self._place.local_files)))

    def _asking(self, ask: Callable[[Pause], R]) -> Generator[PullProgress, None, R]:
        asking = on_a_thread(ask, self._check)
        while True:
            try:
                next(asking)
            except StopIteration as ended:
                answer: R = ended.value
                return answer
            yield PullProgress(phase="resolving")

    def _fetch(self, plan: Plan) -> Steps:
        staging = self._staging
        staging.refuse_clashes(plan.paths)
        staging.prepare()
        for file in plan.reused:
            staging.reuse(file.path, self._check)
        transfer = Transfer(
            plan.items, staging.parts, staging.tree, self._place, plan.token, plan.hub
        )
        try:
            staging.keep_only(transfer.parts_names, plan.paths)
            transfer.begin_anew((yield from find_damaged(transfer.finished, self._check)))
            transfer.start()
            for _ in until(transfer.wait, self._check):
                yield self._told(transfer, sum(file.size for file in plan.reused))
        finally:
            transfer.stop()
        entries = plan.entries or self._recognised()
        manifest = plan.manifest(transfer.digests, entries)
        staging.publish(manifest, self._check)
        return self._outcome(manifest, entries[0], transfer.fresh_bytes)

    def _copy(self) -> Steps:
        staging, reference = self._staging, self._reference
        source = find_source(reference.location, self._place.local_files)
        staging.refuse_clashes(source.files)
        staging.prepare()
        staging.keep_only(set(), set())
        check_room(staging.tree, source.size)
        digests: dict[str, str] = {}
        teller, done = Teller(), 0
        try:
            for path, count in copy_files(source, staging.tree, self._check, digests):
                done += count
                if teller.due():
                    yield self._meter.progress(
                        "fetching", path, done=done, total=source.size, fresh=done
                    )
            entries = self._recognised()
            files = {path: (size, digests[path]) for path, (size, _) in source.files.items()}
            manifest = local_manifest(reference, entries, files)
        except BaseException:
            staging.clear()  # what was copied is no use to the next pull
            raise
        staging.publish(manifest, self._check)
        return self._outcome(manifest, entries[0], done)

    def _told(self, transfer: Transfer, reused_bytes: int) -> PullProgress:
        path, arrived = transfer.current
        progress = self._meter.progress(
            "checking" if arrived else "fetching",
            path,
            done=transfer.done_bytes + reused_bytes,
            total=transfer.total_bytes + reused_bytes,
            fresh=transfer.fresh_bytes,
        )
        self._staging.tell(progress)
        return progress

    def _recognised(self) -> tuple[Entry, ...]:
        entries = entries_of(self._staging.tree, files_in(self._staging.tree))
        if not entries:
            self._staging.clear()
            raise InvalidInputError("what was fetched is not the kind of model that its name says")
        return entries

    def _refuse_foreign(self, old: Manifest | None) -> None:
        """Raise if the folder of the model holds another one."""
        name = self._reference.folder
        if old is None and not is_empty(self._staging.target):
            raise ConflictError(
                f"there is a model {name} that was put there by hand: delete or rename it first"
            )
        if old is not None and old.source != self._reference.source:
            raise ConflictError(
                f"there is a model {name} from elsewhere ({old.source}): delete it first"
            )

    def _present(self, file: ManifestFile) -> bool:
        return (self._staging.target / file.path).is_file()

    def _outcome(self, manifest: Manifest, entry: Entry, fetched_bytes: int = 0) -> PullOutcome:
        return outcome_of(self._staging.target, manifest, entry, fetched_bytes)
