"""A GGUF of a model of the folder, put together beside the others and published in one step."""

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sensorium.core.errors import ConflictError
from sensorium.core.loading import load
from sensorium.models.catalogue.manifest import Entry, Manifest, ManifestFile, read_manifest
from sensorium.models.catalogue.partial import lock_of, take
from sensorium.models.headers.reading import read_header
from sensorium.models.hub.room import check_room, disk_problem
from sensorium.models.hub.staging import Staging, is_empty
from sensorium.models.hub.waiting import Teller, until
from sensorium.models.quantising.progress import QuantizeOutcome, QuantizeProgress, Task
from sensorium.models.quantising.shape import Config, read_config
from sensorium.models.quantising.tensors import Planned, kept, planned
from sensorium.models.quantising.tokens import Vocabulary, read_vocabulary
from sensorium.models.quantising.weights import Weights

BLOCK = 1 << 20
LICENCES = ("LICENSE", "LICENCE", "NOTICE", "COPYING")
MAX_LICENCE = 1 << 20


def quantise(task: Task, check: Callable[[], None]) -> Iterator[QuantizeProgress]:
    """Make a GGUF of a model; the last item has the outcome.

    `check` is called between pieces of a tensor and ends it by raising; nothing is left then.

    Raises:
        InvalidInputError: the model's files are damaged.
        NotSupportedError: it is of a kind that is not converted; says which.
        ConflictError: another model has the name.
        UnavailableError: there is no room, or the library that writes GGUF is not installed.
    """
    return _Run(task, check).run()


class _Run:
    def __init__(self, task: Task, check: Callable[[], None]) -> None:
        self._task = task
        self._check = check
        self._root = Path(task.root)
        self._file = f"{task.folder}.gguf"
        self._staging = Staging(self._root, task.folder)
        self._total = 0

    @property
    def _source(self) -> str:
        return f"quantised:{self._task.model}"

    def run(self) -> Iterator[QuantizeProgress]:
        """See `quantise`."""
        lock: Any = None
        try:
            lock = lock_of(self._root, self._task.folder)
            yield from self._taken(lock)
            self._refuse_foreign()
            yield from self._make()
        except OSError as error:
            raise disk_problem(error) from error
        finally:
            if lock is not None:
                lock.release()

    def _taken(self, lock: Any) -> Iterator[QuantizeProgress]:
        def taken(seconds: float) -> bool:
            if take(lock):
                return True
            time.sleep(seconds)
            return False

        for _ in until(taken, self._check):
            yield QuantizeProgress(phase="waiting")

    def _make(self) -> Iterator[QuantizeProgress]:
        folder = Path(self._task.source)
        read_header(folder, "transformers")  # what is malformed is refused there
        config = read_config(folder)
        vocabulary = read_vocabulary(folder, config)
        weights = Weights(folder)
        tensors = planned(config, weights, self._task.precision)
        self._total = sum(weights.size(each.source) for each in tensors if each.source)
        try:
            yield from self._put_together(folder, config, vocabulary, weights, tensors)
        except BaseException:
            self._staging.clear()
            raise

    def _put_together(
        self,
        folder: Path,
        config: Config,
        vocabulary: Vocabulary,
        weights: Weights,
        tensors: list[Planned],
    ) -> Iterator[QuantizeProgress]:
        self._staging.prepare()
        self._staging.keep_only(set(), set())
        check_room(self._staging.tree, _file_bytes(vocabulary, tensors))
        yield from self._write(config, vocabulary, weights, tensors)
        made = self._staging.tree / self._file
        read_header(made, "gguf")
        digests = yield from self._hashed([made, *_licences(folder, self._staging.tree)])
        self._staging.publish(self._manifest(digests))
        size, digest = digests[self._file]
        outcome = QuantizeOutcome(
            name=self._task.folder,
            file=self._file,
            digest=digest,
            size_bytes=size,
            source_bytes=self._total,
            tensors=dict(sorted(Counter(each.type for each in tensors).items())),
            kept=kept(tensors, self._task.precision),
            licence=self._task.licence,
        )
        yield QuantizeProgress(
            phase="done", done_bytes=self._total, total_bytes=self._total, outcome=outcome
        )

    def _write(
        self, config: Config, vocabulary: Vocabulary, weights: Weights, tensors: list[Planned]
    ) -> Iterator[QuantizeProgress]:
        row_bytes = {
            each.name: weights.size(each.source) // each.rows if each.source else 0
            for each in tensors
        }
        writer = load("sensorium.models.quantising.writing:Writer")(
            self._staging.tree / self._file, config, vocabulary, tensors
        )
        writer.describe(self._task.folder, self._task.licence, self._task.precision)
        teller, done = Teller(), 0
        try:
            for name, rows in writer.write(weights):
                self._check()
                done += rows * row_bytes[name]
                if teller.due():
                    yield QuantizeProgress(
                        phase="quantising", tensor=name, done_bytes=done, total_bytes=self._total
                    )
        finally:
            writer.close()

    def _hashed(self, paths: list[Path]) -> Any:
        """The size and SHA-256 of each file by its name; tells that it checks meanwhile."""
        teller = Teller()
        found: dict[str, tuple[int, str]] = {}
        for path in paths:
            digest, size = hashlib.sha256(), 0
            with path.open("rb") as file:
                while data := file.read(BLOCK):
                    self._check()
                    digest.update(data)
                    size += len(data)
                    if teller.due():
                        yield QuantizeProgress(
                            phase="checking", done_bytes=self._total, total_bytes=self._total
                        )
            found[path.name] = (size, digest.hexdigest())
        return found

    def _manifest(self, digests: dict[str, tuple[int, str]]) -> Manifest:
        return Manifest(
            source=self._source,
            requested=self._task.precision,
            revision=self._task.digest,
            licence=self._task.licence,
            task=self._task.task,
            entries=(
                Entry(
                    format="gguf",
                    path=self._file,
                    weights=(self._file,),
                    files=tuple(sorted(digests)),
                ),
            ),
            files=tuple(
                ManifestFile(path=path, size=size, sha256=digest)
                for path, (size, digest) in sorted(digests.items())
            ),
            fetched_at=time.time(),
        )

    def _refuse_foreign(self) -> None:
        """Raise if the folder of the new model holds another one."""
        name, target = self._task.folder, self._staging.target
        old = read_manifest(target)
        if old is None and not is_empty(target):
            raise ConflictError(
                f"there is a model {name} that was put there by hand: delete or rename it first"
            )
        if old is not None and old.source != self._source:
            raise ConflictError(
                f"there is a model {name} from elsewhere ({old.source}): take another name"
            )


def _file_bytes(vocabulary: Vocabulary, tensors: list[Planned]) -> int:
    """About what the file will have; a text has 8 bytes before it, a tensor an alignment."""
    texts = [*vocabulary.tokens, *vocabulary.merges, vocabulary.template]
    written = sum(len(each.encode()) + 16 for each in texts)
    return written + sum(each.rows * each.row_bytes + 256 for each in tensors)


def _licences(folder: Path, tree: Path) -> list[Path]:
    """The texts of the licence, copied."""
    found = []
    for path in sorted(folder.iterdir()):
        named = path.name.upper().startswith(LICENCES)
        if named and path.is_file() and path.stat().st_size <= MAX_LICENCE:
            found.append(Path(shutil.copyfile(path, tree / path.name)))
    return found
