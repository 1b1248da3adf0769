"""What can be set about pipelines."""

from typing import Annotated

from msgspec import Meta, Struct


class PipelineSettings(Struct, frozen=True, kw_only=True):
    """Where pipelines are declared."""

    pipelines_dir: Annotated[
        str, Meta(description="The folder of *.toml and *.json; default: pipelines, in data_dir.")
    ] = ""
