"""Models that another server runs, which a `remote.toml` names."""

from sensorium.core.errors import InvalidInputError
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadedModel, LoadOptions, TextModel
from sensorium.models.backends.remote_ollama import Ollama
from sensorium.models.backends.remote_openai import OpenAI
from sensorium.models.backends.remote_settings import read_settings
from sensorium.models.backends.remote_tensors import RemoteTensorModel
from sensorium.models.backends.remote_text import Dialect, RemoteTextModel
from sensorium.models.backends.remote_wire import Wire

SPARE = 2
"""Connections for what is asked beside texts."""


class RemoteBackend:
    """See `base.Backend`."""

    def load(self, artifact: Artifact, options: LoadOptions) -> LoadedModel | TextModel:
        """See `base.Backend.load`; nothing is asked of a server of texts yet."""
        if artifact.source:
            raise InvalidInputError(
                "its remote.toml was fetched: it would have this server call whom it likes with "
                "secrets of its environment. Write one of your own"
            )
        settings = read_settings(artifact.path)
        wire = Wire(settings, options.parallel + SPARE)
        try:
            if settings.protocol == "oip":
                return RemoteTensorModel(settings, wire)
            dialect: Dialect = OpenAI(settings)
            if settings.protocol == "ollama":
                dialect = Ollama(settings, options)
            return RemoteTextModel(settings, wire, dialect, options)
        except BaseException:
            wire.close()
            raise


BACKEND = RemoteBackend()
