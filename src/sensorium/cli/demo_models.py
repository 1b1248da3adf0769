"""What the demonstration asks of the sample models, and what must come back."""

import csv
from pathlib import Path

import numpy as np

from sensorium.capabilities.models.schema import InferResponse
from sensorium.cli import demo_told
from sensorium.cli.demo_told import Own, Told
from sensorium.client import Sensorium
from sensorium.core.arrays import to_tensor
from sensorium.core.errors import NotFoundError

STATES = ("normal", "worn", "failing")
STATE, LIFE = "machine-state", "machine-life"


def load(client: Sensorium, own: Own) -> Told:
    """`models.load`: the network that tells a machine's state."""
    del own
    told = Told(f"{STATE}, an ONNX network")
    with told.timed():
        answer = client.models.load(model=STATE)
    told.answer = f"loaded in {answer.load_s * 1000:.0f} ms, on {', '.join(answer.providers)}"
    told.expect([each.name for each in answer.inputs] == ["measurements"], "it is another model")
    told.expect(answer.joins_calls, "calls that wait are not joined")
    return told


def infer(client: Sensorium, own: Own) -> Told:
    """`models.infer`: the states of some machines, told from what was measured."""
    del own
    expected, measured = _machines()
    told = Told(f"machines.csv, {len(measured)} machines")
    answer = _infer(client, told, STATE, measured[:, :3])
    states = [STATES[int(each or 0)] for each in _values(answer, "state")]
    told.answer = ", ".join(f"{states.count(each)} {each}" for each in STATES)
    told.expect(states == expected, "these are not the machines' states")
    return told


def lightgbm(client: Sensorium, own: Own) -> Told:
    """`models.infer`: LightGBM's trees tell how many hours the machines have left."""
    del own
    expected, measured = _machines()
    told = Told(f"machines.csv, LightGBM's trees in {LIFE}")
    left = np.array(_values(_infer(client, told, LIFE, measured), "variable"), dtype=float)
    means = [float(left[[each == state for each in expected]].mean()) for state in STATES]
    told.answer = ", ".join(
        f"{state} {mean:,.0f} h" for state, mean in zip(STATES, means, strict=True)
    )
    told.expect(means == sorted(means, reverse=True), "worn machines are said to last longer")
    return told


def get(client: Sensorium, own: Own) -> Told:
    """`models.get`: what a model is, takes and gives."""
    del own
    told = Told(LIFE)
    with told.timed():
        answer = client.models.get(model=LIFE)
    told.answer = f"{answer.entry.format}, {answer.entry.size_bytes:,} bytes"
    told.expect(answer.loaded is not None and answer.loaded.state == "ready", "it is not ready")
    return told


def files(client: Sensorium, own: Own) -> Told:
    """`models.files`: what another node may fetch, with its hashes."""
    del own
    told = Told(LIFE)
    with told.timed():
        answer = client.models.files(model=LIFE)
    told.answer = ", ".join(f"{each.path} {each.sha256[:12]}" for each in answer.files)
    named = {each.path: each for each in answer.files}
    told.expect("model.onnx" in named, "its file is not there")
    told.expect(all(len(each.sha256) == 64 for each in answer.files), "a file has no hash")
    return told


def listed(client: Sensorium, own: Own) -> Told:
    """`models.list`: what is there, and what the rows before have loaded."""
    del own
    told = Told("nothing")
    with told.timed():
        answer = client.models.list()
    loaded = {each.name for each in answer.loaded if each.state == "ready"}
    told.answer = f"{len(answer.models)} models, ready: {', '.join(sorted(loaded))}"
    told.expect(loaded >= {STATE, LIFE}, "what was used is not ready")
    return told


def unload(client: Sensorium, own: Own) -> Told:
    """`models.unload`: its memory is given back."""
    del own
    told = Told(LIFE)
    with told.timed():
        client.models.unload(model=LIFE)
    left = {each.name for each in client.models.list().loaded}
    told.answer = f"loaded: {', '.join(sorted(left))}"
    told.expect(LIFE not in left, "it is still loaded")
    return told


def _machines() -> tuple[list[str], np.ndarray]:
    """The machines' states, and what was measured: float32, shape (machines, 4)."""
    path: Path = demo_told.SAMPLES / "machines.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    if not rows:
        raise NotFoundError("machines.csv holds no machines")
    numbers = np.array([row[1:] for row in rows], dtype=np.float32)
    return [row[0] for row in rows], numbers


def _infer(client: Sensorium, told: Told, model: str, array: np.ndarray) -> InferResponse:
    tensor = to_tensor("measurements", array)
    with told.timed():
        return client.models.infer(model=model, inputs=[tensor])


def _values(answer: InferResponse, name: str) -> list[float | None]:
    return next(each.values for each in answer.outputs if each.name == name)
