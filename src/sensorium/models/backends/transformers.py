"""Models of the transformers library, from safetensors: of texts, of pictures, encoders."""

from pathlib import Path
from typing import Any

import torch
from msgspec.structs import replace
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSequenceClassification,
    AutoProcessor,
    AutoTokenizer,
)
from transformers.utils import logging as library_log

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadedModel, LoadOptions, ModelSpec, TextModel
from sensorium.models.backends.torch_devices import device_of
from sensorium.models.backends.transformers_dequantised import load_dequantised
from sensorium.models.backends.transformers_encoding import (
    ClassifyingModel,
    EmbeddingModel,
    Encoder,
)
from sensorium.models.backends.transformers_files import Described, Kind, describe
from sensorium.models.backends.transformers_generation import GeneratingModel
from sensorium.models.backends.transformers_looking import LookingModel
from sensorium.models.backends.transformers_seeing import SeeingModel
from sensorium.models.hardware.cores import usable_cores

CLASSES: dict[Kind, Any] = {
    "generates": AutoModelForCausalLM,
    "sees": AutoModelForImageTextToText,
    "looks": AutoModelForImageTextToText,
    "classifies": AutoModelForSequenceClassification,
    "embeds": AutoModel,
}
READERS: dict[Kind, Any] = {"sees": AutoProcessor, "looks": AutoProcessor}
"""What reads for a model, where it is not a tokenizer."""
UNUSED = ("pooler.",)
"""Weights that encoders are often saved without, and that are not used here."""
LOCAL = {"local_files_only": True, "trust_remote_code": False}
UNBOUNDED = 10_000_000
library_log.set_verbosity_error()
library_log.disable_progress_bar()


class TransformersBackend:
    """See `base.Backend`."""

    def load(self, artifact: Artifact, options: LoadOptions) -> LoadedModel | TextModel:
        """See `base.Backend.load`."""
        folder = artifact.path
        described = describe(folder)
        device, name, degraded = device_of(options)
        torch.set_num_threads(options.threads or min(torch.get_num_threads(), usable_cores()))
        placed = {"device_map": {"": device}} if described.quantised else {}
        try:
            reader = READERS.get(described.kind, AutoTokenizer).from_pretrained(folder, **LOCAL)
            model, told, cost = _loaded(folder, described, placed)
        except InvalidInputError:
            raise
        except ImportError as error:
            missing = getattr(error, "name", None) or "a library"
            raise UnavailableError(f"it needs {missing}, which is not installed") from None
        except Exception as error:
            raise InvalidInputError(f"transformers cannot load it: {_reason(error)}") from None
        _check_whole(told)
        model = model.eval() if described.quantised else model.to(device).eval()
        spec = ModelSpec(
            platform="transformers",
            inputs=[],
            outputs=[],
            providers=[name],
            degraded="; ".join(filter(None, (degraded, cost))),
        )
        return _model(described, model, reader, spec, options)


BACKEND = TransformersBackend()


def _loaded(folder: Path, described: Described, placed: dict[str, Any]) -> tuple[Any, Any, str]:
    """The model, what the library tells of its weights, and what dequantising them costs."""
    kind = CLASSES[described.kind]
    if described.dequantised:
        made: tuple[Any, Any, str] = load_dequantised(folder, kind)
        return made
    model, told = kind.from_pretrained(
        folder,
        dtype="auto",
        use_safetensors=True,
        output_loading_info=True,
        **placed,
        **LOCAL,
    )
    return model, told, ""


def _model(
    described: Described, model: Any, reader: Any, spec: ModelSpec, options: LoadOptions
) -> LoadedModel | TextModel:
    tokenizer = getattr(reader, "tokenizer", reader)
    config = model.config.get_text_config()
    limits = [
        getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None),
        tokenizer.model_max_length,
        described.max_tokens,
    ]
    trained = min((each for each in limits if each and 0 < each < UNBOUNDED), default=0)
    context = options.tokens(trained)
    lacks = filter(None, [spec.degraded, options.shortened(trained)])
    spec = replace(spec, degraded="; ".join(lacks))
    if described.kind == "generates":
        return GeneratingModel(model, tokenizer, spec, context, begins=described.begins)
    if described.kind == "sees":
        return SeeingModel(model, reader, spec, context, begins=described.begins)
    if described.kind == "looks":
        return LookingModel(model, reader, spec, context)
    encoder = Encoder(model, tokenizer, context)
    if described.kind == "embeds":
        return EmbeddingModel(encoder, spec, described.pooling)
    labels = [str(config.id2label[number]) for number in range(config.num_labels)]
    way = "softmax"
    if config.problem_type == "multi_label_classification":
        way = "sigmoid"
    elif config.problem_type == "regression" or len(labels) == 1:
        way = "as it is"
    return ClassifyingModel(encoder, spec, labels, way)


def _check_whole(told: Any) -> None:
    """Whether all weights were there: those that are not would be made up, at random.

    Raises:
        InvalidInputError: some were not, or had another shape.
    """
    missing = [key for key in told["missing_keys"] if not key.startswith(UNUSED)]
    wrong = [*missing, *(each[0] for each in told["mismatched_keys"])]
    if wrong:
        raise InvalidInputError(
            f"its weights do not fit its config.json: {len(wrong)} are missing or of another "
            f"shape, such as {sorted(wrong)[0][:80]}"
        )


def _reason(error: Exception) -> str:
    """What the library said first, without addresses and paths."""
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return " ".join(word for word in text.split() if "/" not in word)[:300]
