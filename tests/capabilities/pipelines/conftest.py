"""A server without doors, in this process, with workers of its own and small models."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sensorium.app import App, load_settings
from sensorium.core.dispatch import Caller, Encoded
from tests.conformance.loop import BackgroundLoop
from tests.models import files

Plain = dict[str, Any]


class Runner:
    """Calls operations of an app with plain JSON, and gives plain JSON back."""

    def __init__(self, app: App, loop: BackgroundLoop, folder: Path) -> None:
        self.app = app
        self.folder = folder
        self._loop = loop

    def call(self, name: str, request: Plain, **caller: Any) -> Plain:
        """What an operation answers."""
        return self.wait(self.calling(name, request, **caller))

    async def calling(self, name: str, request: Plain, **caller: Any) -> Plain:
        """The same, for code on the app's loop."""
        body = Encoded(msgspec.json.encode(request))
        answer = await self.app.dispatcher.call(name, body, Caller(**caller))
        return msgspec.json.decode(answer.json())

    def run(self, *stages: Plain, inputs: Plain | None = None, **pipeline: Any) -> Plain:
        """What a pipeline of these stages gives; `outputs` is by default all that each gave."""
        return self.call("pipelines.run", made(*stages, inputs=inputs, **pipeline))

    def problems(self, *stages: Plain, **pipeline: Any) -> list[Plain]:
        """What is wrong with a pipeline of these stages."""
        request = {"pipeline": {"stages": list(stages), **pipeline}}
        return self.call("pipelines.check", request)["problems"]

    def wait(self, work: Any) -> Any:
        """What a coroutine gives that runs on the app's loop."""
        return self._loop.run(work)

    def idle(self) -> bool:
        """Whether nothing runs any more."""
        lanes = [self.app.threads.lane]
        if self.app.processes is not None:
            lanes.append(self.app.processes.lane)
        return all(lane.in_use == 0 for lane in lanes)


def made(*stages: Plain, inputs: Plain | None = None, **pipeline: Any) -> Plain:
    """A request to run these stages; inputs are declared as any kind where nobody says more."""
    declared = {name: {} for name in inputs or {}}
    outputs = {stage["name"]: f"${stage['name']}" for stage in stages}
    whole = {"inputs": declared, "stages": list(stages), "outputs": outputs, **pipeline}
    return {"pipeline": whole, "inputs": inputs or {}}


@pytest.fixture(scope="package")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("data")
    files.mlp(folder / "models" / "mlp")
    files.slow(folder / "models" / "slow")
    settings = load_settings(
        {"data_dir": str(folder), "workers": "2"}, environ={}, directory=folder
    )
    app, loop = App(settings), BackgroundLoop()
    app.registry.find_plugins()
    loop.enter(app.running())
    yield Runner(app, loop, folder)
    loop.close()
