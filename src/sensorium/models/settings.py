"""What can be set about models."""

from typing import Annotated

from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError
from sensorium.core.settings import Secret


class ModelSettings(Struct, frozen=True, kw_only=True):
    """Models: where they lie, and how long they stay in memory."""

    model_cache_path: Annotated[
        str, Meta(description="The folder of models; default: `models` in the data folder.")
    ] = ""
    keep_alive_s: Annotated[
        float,
        Meta(ge=-1, le=1e9, description="Seconds that an unused model stays loaded; -1: for ever."),
    ] = 300.0
    model_memory_bytes: Annotated[
        int,
        Meta(ge=0, le=2**50, description="What all models may hold; 0: four fifths of the memory."),
    ] = 0
    model_queue: Annotated[
        int, Meta(ge=1, le=100_000, description="Calls that may wait for one model.")
    ] = 1024
    preload: Annotated[
        list[str], Meta(description="Models that are loaded at the start, and stay.")
    ] = []
    default_model: Annotated[
        str, Meta(description="The language model that answers where none is named.")
    ] = "tinylm"
    default_embedding: Annotated[
        str, Meta(description="The model that makes vectors of texts where none is named.")
    ] = "tinylm"
    model_aliases: Annotated[
        dict[str, str],
        Meta(description="Other names of models, or of aliases: `fast=org/small,gpt-4o=fast`."),
    ] = {}
    hf_token: Annotated[Secret, Meta(description="The model hub's access token.")] = Secret("")
    hf_endpoint: Annotated[str, Meta(description="Another address of the model hub.")] = ""
    pull_files: Annotated[
        bool, Meta(description="Callers may pull from this machine's files: file:///path.")
    ] = False
    fetch_images: Annotated[
        bool, Meta(description="Fetch images that callers name by their public addresses.")
    ] = True
    fetch_images_from: Annotated[
        list[str],
        Meta(description="Fetch images from these, too: `host:port`, also where not public."),
    ] = []
    offline: Annotated[bool, Meta(description="Fetch nothing; use what is on disk.")] = False

    def __post_init__(self) -> None:
        """Refuse aliases that lead nowhere.

        Raises:
            InvalidInputError: they go round in a circle.
        """
        _ = self.aliases

    @property
    def aliases(self) -> dict[str, str]:
        """Other names of models, those of the defaults among them: each with what it leads to."""
        defaults = {"default": self.default_model, "default-embedding": self.default_embedding}
        told = {**self.model_aliases, **defaults}
        return {alias: _followed(alias, told) for alias in told}


def _followed(alias: str, told: dict[str, str]) -> str:
    """Where an alias leads to in the end; a name that means itself is a model's."""
    way = [alias]
    while (name := told.get(way[-1], way[-1])) != way[-1]:
        if name in way:
            circle = " = ".join([*way[way.index(name) :], name])
            raise InvalidInputError(
                f"the model aliases go round in a circle: {circle}; have one of them name a model "
                "(model_aliases, default_model, default_embedding)"
            )
        way.append(name)
    return way[-1]
