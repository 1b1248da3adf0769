"""The hub's own reading protocol under `/hub`, so that other nodes fetch models from this one.

It is what `huggingface_hub` and `models.pull` ask for where `HF_ENDPOINT` is `http://node:8484/hub`.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from sensorium.core.dispatch import Caller, Dispatcher
from sensorium.core.errors import (
    NotFoundError,
    PayloadTooLargeError,
    SensoriumError,
    UnauthenticatedError,
)
from sensorium.core.loading import load
from sensorium.transports.http.compat.hub_answers import (
    Files,
    MissingError,
    info,
    paths_info,
    tree,
    wanted,
)
from sensorium.transports.http.exchange import JSON, ClientGoneError, Exchange, Headers
from sensorium.transports.http.problems import MethodNotAllowedError, problem

ModelFile = Callable[[str, str, str], Path]
"""Where a model's file lies, by the model's name, the path in its folder and the version.

It raises NotFoundError where there is none, or none that others may have.
"""
MAIN = "main"
NAME = r"(?P<name>[^/]+(?:/[^/]+)??)"
API = re.compile(
    rf"/hub/api/models/{NAME}"
    r"(?:/(?P<verb>revision|tree|paths-info)/(?P<revision>[^/]+)(?:/(?P<path>.*))?)?"
)
FILE = re.compile(rf"/hub/{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.*)")


class Hub:
    """Serves everything under `/hub`; each request is a call of `models.files`, and so authorised.

    `model_file` finds the files; what it says is all that is ever opened.
    """

    def __init__(self, dispatcher: Dispatcher, model_file: ModelFile) -> None:
        self._dispatcher = dispatcher
        self._model_file = model_file

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; an error has the hub's headers, and `{"error": …}` as its body."""
        try:
            await self._route(exchange)
        except SensoriumError as error:
            if exchange.started or isinstance(error, ClientGoneError):
                raise
            status, headers, _ = problem(error, exchange.request_id)
            body = msgspec.json.encode({"error": error.message})
            await exchange.answer(status, JSON, body, headers + _said(error))

    async def _route(self, exchange: Exchange) -> None:
        path: str = exchange.scope["path"]
        caller = exchange.caller(self._dispatcher.identify(exchange.credential()))
        body = (await exchange.payload()).body
        if not isinstance(body, bytes):
            raise PayloadTooLargeError("this address takes a small body")
        if found := API.fullmatch(path):
            asked = found.groupdict(default="")
            _only(exchange, *(["POST"] if asked["verb"] == "paths-info" else ["GET", "HEAD"]))
            listed = await self._listed(exchange, caller, asked)
            answer = self._answer(exchange, asked, listed, body)
            await exchange.answer(200, JSON, msgspec.json.encode(answer), _commit(listed))
        elif found := FILE.fullmatch(path):
            _only(exchange, "GET", "HEAD")
            asked = found.groupdict(default="")
            listed = await self._listed(exchange, caller, asked)
            await self._send(exchange, listed, asked["path"])
        else:
            raise NotFoundError("there is nothing here; the hub's addresses are under /hub")

    def _answer(
        self, exchange: Exchange, asked: Mapping[str, str], listed: Files, body: bytes
    ) -> object:
        match asked["verb"]:
            case "tree":
                every = exchange.fields().get("recursive", "").lower() in ("true", "1")
                return tree(listed, asked["path"], every=every)
            case "paths-info":
                return paths_info(listed, wanted(body, exchange.header(b"content-type")))
            case _:
                return info(listed)

    async def _listed(self, exchange: Exchange, caller: Caller, asked: Mapping[str, str]) -> Files:
        """The files of a model at a revision: `main`, the number of a version, or a commit."""
        name, revision = asked["name"], asked["revision"] or MAIN
        with exchange.while_connected():
            try:
                latest = await self._files(caller, name)
            except NotFoundError as error:
                raise MissingError(error.message, "RepoNotFound") from None
            if revision in (MAIN, latest.commit, latest.version):
                return latest
            if revision in latest.versions:
                return await self._files(caller, name, revision)
            for version in reversed(latest.versions[:-1]) if _is_commit(revision) else ():
                older = await self._files(caller, name, version)
                if older.commit == revision:
                    return older
        there = ", ".join((MAIN, *latest.versions))
        raise MissingError(
            f"{name} has no revision {revision[:80]!r} here (any more); it has {there}",
            "RevisionNotFound",
        )

    async def _files(self, caller: Caller, name: str, version: str = "") -> Files:
        operation = self._dispatcher.registry.get("models.files")
        request = operation.request(model=name, version=version)
        return (await self._dispatcher.call(operation.name, request, caller)).read(Files)

    async def _send(self, exchange: Exchange, listed: Files, path: str) -> None:
        file = next((each for each in listed.files if each.path == path), None)
        missing = MissingError(
            f"{listed.model} has no file of that path", "EntryNotFound", listed.commit
        )
        if file is None:
            raise missing
        try:
            place = await asyncio.to_thread(self._model_file, listed.model, path, listed.version)
            await load("sensorium.transports.http.compat.hub_file:send")(
                exchange, place, file.size_bytes, file.sha256, _commit(listed)
            )
        except NotFoundError:
            raise missing from None


def _is_commit(revision: str) -> bool:
    return re.fullmatch("[0-9a-f]{40}", revision) is not None


def _only(exchange: Exchange, *allowed: str) -> None:
    if exchange.method not in allowed:
        raise MethodNotAllowedError(", ".join(allowed))


def _commit(listed: Files) -> Headers:
    return [(b"x-repo-commit", listed.commit.encode())]


def _said(error: SensoriumError) -> Headers:
    """What the hub's clients read of an error, beside its status."""
    message = error.message
    if isinstance(error, UnauthenticatedError):
        # By these words they tell a bad key from a repository that is not there.
        message = "Invalid credentials in Authorization header"
    text = " ".join(message.split()).encode("ascii", "backslashreplace")
    own = error.headers if isinstance(error, MissingError) else []
    return [(b"x-error-message", text[:1000]), *own]
