"""A GGUF file becomes a model: of texts, of texts and pictures, or of tokens alone."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions, TextModel
from sensorium.models.backends.gguf import NO_GPU, GgufModel, VocabularyModel
from sensorium.models.backends.gguf_engine import has_gpu, projector_for
from sensorium.models.backends.gguf_options import check_device
from sensorium.models.backends.gguf_seeing import SeeingModel
from sensorium.models.backends.gguf_vocabulary import CONTEXT, write_model
from sensorium.models.headers.reading import read_header


class GgufBackend:
    """See `base.Backend`."""

    def load(self, artifact: Artifact, options: LoadOptions) -> TextModel:
        """See `base.Backend.load`."""
        header = read_header(artifact, trusted=options.trusted)
        if not header.tensors:
            return _vocabulary(artifact, options)
        check_device(options, has_gpu=has_gpu(), reason=NO_GPU)
        kind = GgufModel if projector_for(artifact, header) is None else SeeingModel
        return kind(artifact, options, header)


BACKEND = GgufBackend()


def _vocabulary(artifact: Artifact, options: LoadOptions) -> VocabularyModel:
    with TemporaryDirectory(prefix="sensorium-") as folder:
        path = Path(folder) / "vocabulary.gguf"
        write_model(artifact.path, path)
        small = LoadOptions(context=CONTEXT, parallel=options.parallel, threads=options.threads)
        made = replace(artifact, path=path, projector=None)
        return VocabularyModel(made, small, read_header(path, "gguf"))
