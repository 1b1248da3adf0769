"""By which names callers asked for the models that are loaded."""

Key = tuple[str, str]
"""A model's name and version, as `Artifact` has them."""


def folder_of(key: Key) -> str:
    """The folder of a model, which it may share with its variants and has with its versions."""
    return key[0].partition(":")[0]


def is_version_of(key: Key, other: Key) -> bool:
    """Whether a model is another version of another, or of a variant of that."""
    return folder_of(key) == folder_of(other) and key[1] != other[1]


class Names:
    """What callers wrote, as the loaded models that they got."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Key] = {}

    def find(self, name: str, version: str) -> Key | None:
        """The model that was meant before by that."""
        return self._known.get((name, version))

    def meant_by(self, *names: str) -> set[Key]:
        """The models that were meant by some names, with any version."""
        return {key for (name, _), key in self._known.items() if name in names}

    def numbered(self, key: Key) -> bool:
        """Whether somebody asked for that version by its number."""
        return any(version for (_, version), known in self._known.items() if known == key)

    def learn(self, name: str, version: str, key: Key) -> None:
        """What was meant by a name and a version.

        Where no version was said, it is the one that all other names without one mean from now
        on, too: those that meant another are looked up again.
        """
        if not version:
            self._known = {
                asked: known
                for asked, known in self._known.items()
                if asked[1] or not is_version_of(known, key)
            }
        self._known[name, version] = key

    def drop_name(self, name: str) -> None:
        """Forget what was meant by a name."""
        self._known = {asked: key for asked, key in self._known.items() if asked[0] != name}

    def drop(self, key: Key) -> None:
        """Forget all names of a model."""
        self._known = {asked: known for asked, known in self._known.items() if known != key}
