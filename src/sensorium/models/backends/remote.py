"""Models that another server runs, which a `remote.toml` names."""

from sensorium.core.errors import InvalidInputError
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadedModel, LoadOptions, TextModel
from sensorium.models.backends.remote_blocking import RemoteTextModel
from sensorium.models.backends.remote_settings import RemoteSettings, read_settings
from sensorium.models.backends.remote_tensors import RemoteTensorModel
from sensorium.models.backends.remote_text import RemoteTexts


class RemoteBackend:
    """See `base.Backend`."""

    def load(self, artifact: Artifact, options: LoadOptions) -> LoadedModel | TextModel:
        """See `base.Backend.load`; nothing is asked of a server of texts yet."""
        settings = own_settings(artifact)
        if settings.upstreams[0].protocol == "oip":
            return RemoteTensorModel(settings)
        parallel = min(options.parallel, settings.parallel)
        return RemoteTextModel(RemoteTexts(settings, options), parallel)


def own_settings(artifact: Artifact) -> RemoteSettings:
    """The settings of a model.

    Raises:
        InvalidInputError: they were fetched, or cannot be used.
        UnavailableError: a key is missing.
    """
    if artifact.source:
        raise InvalidInputError(
            "its remote.toml was fetched: it would have this server call whom it likes with "
            "secrets of its environment. Write one of your own"
        )
    return read_settings(artifact.path)


BACKEND = RemoteBackend()
