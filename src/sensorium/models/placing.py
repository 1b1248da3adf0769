"""Where a model is placed: in this process, or in one of its own."""

from sensorium.core.loading import load
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.table import row_of
from sensorium.models.catalogue.shelves import SAMPLES
from sensorium.models.placement.base import Placed
from sensorium.models.placement.inproc import Inproc
from sensorium.models.placement.process import InProcess

REMOTE = "sensorium.models.placement.remote:place"


class Placer:
    """Places models as their backends and their files' past say.

    Only a file that was loaded and run without harm in a process of its own is taken into the
    server's: a parser that a damaged file crashes must not take the server with it.
    """

    def __init__(self) -> None:
        self._vetted: set[str] = set()

    async def place(self, artifact: Artifact, options: LoadOptions) -> Placed:
        """A model in its place, loaded and tried.

        Raises:
            InvalidInputError: the file is malformed.
            UnavailableError: a library or a provider is missing.
        """
        if artifact.format == "remote" and not options.placement:
            placed: Placed | None = await load(REMOTE)(artifact, options)
            if placed is not None:
                return placed
        row = row_of(artifact.format)
        chosen = options.placement or ("inproc" if row.in_process else "process")
        if chosen == "process":
            return await InProcess.load(artifact, options, text=row.text)
        known = artifact.digest in self._vetted or artifact.path.is_relative_to(SAMPLES)
        if not known:
            tried = await InProcess.load(artifact, options)
            await tried.close()
            self._vetted.add(artifact.digest)
        return await Inproc.load(artifact, options)
