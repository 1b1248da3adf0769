"""How models are wanted: it outlives their being unloaded."""

from dataclasses import dataclass, replace
from pathlib import Path

from msgspec.structs import replace as with_fields

from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions


@dataclass(frozen=True, slots=True)
class Preference:
    """How one version of a model is wanted; None where nobody said."""

    artifact: Artifact
    options: LoadOptions | None = None
    keep_alive_s: float | None = None


class Preferences:
    """The options and the keep-alive that were last asked for, by model and version.

    A version of which nobody said anything has those of the nearest one below it.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Preference] = {}

    def of(self, artifact: Artifact) -> Preference:
        """How a model is wanted. That a file is trusted holds for that very file alone."""
        below = (
            each
            for each in self._known.values()
            if each.artifact.name == artifact.name
            and int(each.artifact.version) <= int(artifact.version)
        )
        found = max(below, key=lambda each: int(each.artifact.version), default=None)
        if found is None:
            return Preference(artifact)
        options = found.options
        if options is not None and options.trusted and found.artifact.digest != artifact.digest:
            options = with_fields(options, trusted=False)
        return Preference(artifact, options, found.keep_alive_s)

    def note(
        self,
        artifact: Artifact,
        *,
        options: LoadOptions | None = None,
        keep_alive_s: float | None = None,
    ) -> None:
        """Remember what was asked for; None leaves it as it was."""
        known = self.of(artifact)
        self._known[artifact.name, artifact.version] = replace(
            known,
            options=known.options if options is None else options,
            keep_alive_s=known.keep_alive_s if keep_alive_s is None else keep_alive_s,
        )

    def forget(self, gone: Path) -> None:
        """Forget the models whose files lay at a path or below it."""
        self._known = {
            key: each for key, each in self._known.items() if not each.artifact.lies_in(gone)
        }
