"""Images that a caller names by their addresses, fetched before a model is asked."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from sensorium.core.asking import See, Sight
from sensorium.core.conversation import ImagePart, Message
from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.core.loading import load
from sensorium.core.operation import Context
from sensorium.models.settings import ModelSettings

FETCHER = "sensorium.models.pictures.fetching:Fetcher"
MAX_FETCHED = 16
"""Images of one call that are fetched."""
MAX_BYTES = 64 << 20
"""Bytes that they may have together."""


class Fetcher(Protocol):
    """See `models.pictures.fetching.Fetcher`."""

    async def fetch(self, url: str) -> bytes:
        """See `models.pictures.fetching.Fetcher.fetch`."""


async def with_images(
    context: Context, model: str, version: str, messages: Sequence[Message]
) -> list[Message]:
    """The messages with the files of all their images.

    A model that takes none is found out before any is fetched.

    Raises:
        InvalidInputError: it takes none, or one may not be fetched or is no picture.
        NotSupportedError: this server fetches none.
        SensoriumError: as for `Context.ask`.
    """
    if not any(said.images for said in messages):
        return list(messages)
    urls = {image.url for said in messages for image in said.images if image.url}
    check(context, len(urls))
    sight = await context.ask(model, See(), Sight, version=version)
    if not sight.images:
        raise InvalidInputError("this model takes no images")
    if not urls:
        return list(messages)
    files = await fetched(context, sorted(urls))
    return [
        replace(said, images=[_filled(image, files) for image in said.images]) for said in messages
    ]


def check(context: Context, count: int) -> None:
    """Whether so many images may be fetched here; errors as for `with_images`."""
    settings = context.get(ModelSettings)
    if count and (settings.offline or not settings.fetch_images):
        raise NotSupportedError("this server fetches no images: give the file itself as `data`")
    if count > MAX_FETCHED:
        raise InvalidInputError(f"at most {MAX_FETCHED} images of a call are fetched")


async def fetched(context: Context, urls: Sequence[str]) -> dict[str, bytes]:
    """The files that lie at addresses which were checked; errors as for `with_images`."""
    fetcher: Fetcher = context.get(load(FETCHER))
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {url: group.create_task(fetcher.fetch(url)) for url in urls}
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    files = {url: task.result() for url, task in tasks.items()}
    if sum(map(len, files.values())) > MAX_BYTES:
        raise InvalidInputError(f"the images have more than {MAX_BYTES} bytes together")
    return files


def _filled(image: ImagePart, files: Mapping[str, bytes]) -> ImagePart:
    return replace(image, url="", data=files[image.url]) if image.url else image
