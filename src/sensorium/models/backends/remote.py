"""Models that another server runs, which a `remote.toml` names."""

from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadedModel, LoadOptions, TextModel
from sensorium.models.backends.remote_blocking import RemoteTextModel
from sensorium.models.backends.remote_settings import own_settings
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


BACKEND = RemoteBackend()
