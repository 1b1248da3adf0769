"""What a pull is to fetch, what it takes over from the model that is there, and what stays."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.core.settings import Secret
from sensorium.models.catalogue.manifest import Entry, Manifest, ManifestFile
from sensorium.models.catalogue.recognition import Found, matching
from sensorium.models.hub.addresses import Reach
from sensorium.models.hub.parts import Item
from sensorium.models.hub.place import NO_TOKEN
from sensorium.models.hub.reference import Reference
from sensorium.models.hub.selection import Listing, RemoteFile, select

Present = Callable[[ManifestFile], bool]
"""Whether a file of the present model is on disk, be it damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A model that is to be put together."""

    reference: Reference
    items: tuple[Item, ...]
    """Files that are to be transferred."""
    entries: tuple[Entry, ...] = ()
    """The models that are pulled; empty where only their content will tell."""
    together: tuple[Entry, ...] = ()
    """Those and the models that stay beside them, the usual one first."""
    reused: tuple[ManifestFile, ...] = ()
    """Files that are taken over from the present folder."""
    revision: str = ""
    licence: str = ""
    task: str = ""
    token: Secret = NO_TOKEN
    hub: str = ""
    """Whom the token is for."""

    @property
    def paths(self) -> set[str]:
        """All files that will be in the folder."""
        return {item.path for item in self.items} | {file.path for file in self.reused}

    def manifest(
        self, digests: Mapping[str, tuple[int, str, str]], entries: tuple[Entry, ...] = ()
    ) -> Manifest:
        """What the folder will say of itself; `digests` has size, SHA-256 and validator by path."""
        fetched = [
            ManifestFile(
                path=item.path,
                size=digests[item.path][0],
                sha256=digests[item.path][1],
                verified=bool(item.known_as),
                blob=item.blob,
                revision=self.revision,
                etag="" if item.known_as else digests[item.path][2],
            )
            for item in self.items
        ]
        return Manifest(
            source=self.reference.source,
            requested=self.reference.revision,
            revision=self.revision,
            licence=self.licence,
            task=self.task,
            entries=self.together or entries,
            files=tuple(sorted((*fetched, *self.reused), key=lambda file: file.path)),
            fetched_at=time.time(),
        )


def plan_hub(
    reference: Reference,
    listing: Listing,
    old: Manifest | None,
    present: Present,
    damaged: Collection[str] = (),
) -> Plan:
    """What to fetch of a repository.

    Other models in the folder stay where the reference names files. Where it does not, they stay
    if the repository still has them as they are, and what is pulled becomes the usual one. What is
    damaged is fetched anew; another model whose damaged file the repository has no more goes.

    Raises:
        NotFoundError, InvalidInputError: see `select`.
        UnavailableError: the hub's file has not the hash that the caller named.
    """
    entries = tuple(select(reference.location, listing.files, reference.files))
    told = {file.path: file for file in listing.files}
    pinned = _pinned(reference, entries, told)
    known = old.by_path if old else {}
    items: list[Item] = []
    reused: list[ManifestFile] = []
    for path in sorted({path for entry in entries for path in entry.files}):
        item = _item(reference.location, listing, told[path], pinned.get(path, ""))
        sound = path in known and path not in damaged and present(known[path])
        if sound and _same(known[path], item):
            reused.append(known[path])
        else:
            items.append(item)
    kept = _kept(reference, listing, old, entries, present, damaged) if old else []
    beside = {path for entry in kept for path in entry.files}
    beside -= {path for entry in entries for path in entry.files}
    reused += [known[path] for path in sorted(beside) if path not in damaged]
    items += [
        _item(reference.location, listing, told[path], "")
        for path in sorted(beside)
        if path in damaged
    ]
    return Plan(
        reference=reference,
        items=tuple(items),
        entries=entries,
        together=_together(reference, old.entries if old else (), entries, kept),
        reused=tuple(reused),
        revision=listing.commit,
        licence=listing.licence,
        task=listing.task,
        token=listing.token,
        hub=listing.endpoint,
    )


def plan_web(reference: Reference, *, near: bool) -> Plan:
    """What to fetch from a web address: its one file; without `near`, from the public network."""
    (path,) = reference.files
    least = Reach.LOOPBACK if near else Reach.PUBLIC
    return Plan(
        reference=reference,
        items=(Item(path, reference.location, sha256=reference.sha256, least=least),),
    )


def local_manifest(
    reference: Reference, entries: tuple[Entry, ...], files: Mapping[str, tuple[int, str]]
) -> Manifest:
    """What a folder copied from this machine says of itself; `files` has size and SHA-256.

    Raises:
        InvalidInputError: it has not the hash that the caller named.
    """
    named = [path for entry in entries for path in entry.named] if reference.sha256 else []
    if reference.sha256 and [files[path][1] for path in named] != [reference.sha256]:
        raise InvalidInputError("the sha256 that was named is not that of this one file")
    return Manifest(
        source=reference.source,
        entries=entries,
        files=tuple(
            ManifestFile(path=path, size=size, sha256=digest, verified=path in named)
            for path, (size, digest) in sorted(files.items())
        ),
        fetched_at=time.time(),
    )


def already_there(plan: Plan, old: Manifest | None) -> bool:
    """Whether the folder is as the plan wants it."""
    if old is None or plan.items or old.revision != plan.revision:
        return False
    return plan.together == old.entries and plan.paths == old.by_path.keys()


def pulled_before(reference: Reference, old: Manifest | None) -> Entry | None:
    """The model that a reference means among those there, as far as can be told without asking."""
    if old is None or old.source != reference.source:
        return None
    wanted = reference.revision
    if wanted and wanted != old.requested and not old.revision.startswith(wanted):
        return None
    founds = [Found(entry.format, entry.path, entry.weights) for entry in old.entries]
    named = [matching(name, founds) for name in reference.files] or [founds[:1]]
    if any(len(found) != 1 for found in named):
        return None
    entry = old.entries[founds.index(named[0][0])]
    digests = [old.by_path[path].sha256 for path in entry.named]
    return entry if not reference.sha256 or digests == [reference.sha256] else None


def _item(repository: str, listing: Listing, file: RemoteFile, pinned: str) -> Item:
    url = f"{listing.endpoint}/{repository}/resolve/{quote(listing.commit, safe='')}"
    return Item(
        path=file.path,
        url=f"{url}/{quote(file.path)}",
        size=file.size,
        sha256=pinned or file.sha256,
        blob=file.blob,
    )


def _pinned(
    reference: Reference, entries: tuple[Entry, ...], told: Mapping[str, RemoteFile]
) -> dict[str, str]:
    """The hash that the caller named, by the file that it is of."""
    if not reference.sha256:
        return {}
    if len(entries) != 1 or len(entries[0].named) != 1:
        raise InvalidInputError("a sha256 is of one file, and this model has several")
    (path,) = entries[0].named
    listed = told[path].sha256
    if listed not in ("", reference.sha256):
        raise UnavailableError(
            f"the hub's {path} has another sha256 than the one that was named",
            details={"reason": "wrong_hash", "expected": reference.sha256, "actual": listed},
        )
    return {path: reference.sha256}


def _same(old: ManifestFile, item: Item) -> bool:
    if item.sha256:
        return old.sha256 == item.sha256
    return bool(item.blob) and old.blob == item.blob


def _kept(
    reference: Reference,
    listing: Listing,
    old: Manifest,
    pulled: Sequence[Entry],
    present: Present,
    damaged: Collection[str],
) -> list[Entry]:
    """The models that are there, are not pulled anew, and stay."""
    listed = {file.path: _item("", listing, file, "") for file in listing.files}
    new = {entry.path for entry in pulled}
    kept: list[Entry] = []
    for entry in old.entries:
        files = [old.by_path[path] for path in entry.files]
        gone = {
            file.path
            for file in files
            if file.path not in listed or not _same(file, listed[file.path])
        }
        wanted = entry.path not in new and (not gone or bool(reference.files))
        if wanted and gone.isdisjoint(damaged) and all(present(file) for file in files):
            kept.append(entry)
    return kept


def _together(
    reference: Reference, before: Sequence[Entry], pulled: Sequence[Entry], kept: Sequence[Entry]
) -> tuple[Entry, ...]:
    """What is pulled and what stays: the usual one stays so unless no file was named."""
    if not reference.files:
        return (*pulled, *kept)
    places = {entry.path: place for place, entry in enumerate(before)}
    return tuple(sorted((*kept, *pulled), key=lambda entry: places.get(entry.path, len(before))))
