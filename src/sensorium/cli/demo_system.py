"""What the demonstration asks of the server itself, and what must come back."""

import math
import os
import secrets
from array import array
from importlib.util import find_spec

from sensorium.app import MODULES
from sensorium.cli.demo_told import Own, Told
from sensorium.client import Sensorium
from sensorium.control.measuring import Medium
from sensorium.core.registry import Registry
from sensorium.core.types import Audio, Image
from sensorium.core.version import VERSION

PICTURES = 24
TONE_S = 0.5
TONE_DBFS = -20.0


def health(client: Sensorium, own: Own) -> Told:
    """`system.health`: it lives, and is of this version."""
    del own
    told = Told("nothing")
    with told.timed():
        answer = client.system.health()
    told.answer = f"{answer.status}, version {answer.version}"
    told.expect((answer.status, answer.version) == ("live", VERSION), "it is another server")
    return told


def ready(client: Sensorium, own: Own) -> Told:
    """`system.ready`: its worker processes are there."""
    del own
    told = Told("nothing")
    with told.timed():
        answer = client.system.ready()
    workers = answer.workers
    told.expect(answer.ready, "it is not ready")
    told.expect(workers is not None and workers.alive > 0, "it has no worker")
    alive = workers.alive if workers is not None else 0
    told.answer = f"ready, {alive} workers, {', '.join(answer.capabilities)}"
    return told


def operations(client: Sensorium, own: Own) -> Told:
    """`system.operations`: all that is declared."""
    del own
    told = Told("nothing")
    with told.timed():
        answer = client.system.operations()
    served = {each.name for each in answer.operations}
    lost = {each.name for each in Registry(MODULES)} - served
    told.answer = f"{len(served)} operations"
    told.expect(not lost, f"it does not serve {', '.join(sorted(lost))}")
    return told


def echo(client: Sensorium, own: Own) -> Told:
    """`system.echo`: a text made for this call comes back."""
    del own
    text = secrets.token_hex(4)
    told = Told(f"text {text}")
    with told.timed():
        answer = client.system.echo(text=text)
    told.answer = f"text {answer.text}"
    told.expect(answer.text == text, "another text came back")
    return told


def measure(client: Sensorium, own: Own) -> Told:
    """`system.measure`: pictures and a tone, made here, are counted and measured."""
    del own
    told = Told(f"{PICTURES} pictures, and a tone of {TONE_S:g} s at {TONE_DBFS:g} dB")
    picture = Image(width=64, height=48, data=bytes(range(256)) * 36)
    rate_hz = 8000
    loud = round(math.sqrt(2) * 32_768 * 10 ** (TONE_DBFS / 20))  # a sine is 3 dB below its peak
    times = (n / rate_hz for n in range(round(TONE_S * rate_hz)))
    wave = array("h", (round(loud * math.sin(2 * math.pi * 440 * t)) for t in times))
    items = [Medium(image=picture)] * PICTURES
    items.append(Medium(audio=Audio(rate_hz=rate_hz, data=wave.tobytes())))
    with told.timed():
        *_, last = client.system.measure(items, every=len(items))
    loudness = last.loudness_dbfs or 0.0
    told.answer = f"{last.images} of {last.width} x {last.height}, {last.audio_s:.1f} s of sound"
    told.answer += f" at {loudness:.1f} dB"
    seen = (last.images, last.width, last.height)
    told.expect(seen == (PICTURES, 64, 48), "it counted other pictures")
    told.expect(abs(loudness - TONE_DBFS) < 0.1, "it heard another loudness")
    return told


def hardware(client: Sensorium, own: Own) -> Told:
    """`system.hardware`: there are cores and memory, and what runs on the CPU is known."""
    del own
    told = Told("nothing")
    with told.timed():
        answer = client.system.hardware()
    cores, memory = answer.cpu.usable_cores, answer.memory.usable_bytes or 0
    there = [each for each in answer.providers if each.available]
    told.answer = f"{cores:g} cores, {memory / 2**30:.1f} GiB, {len(answer.gpus)} GPUs, "
    told.answer += f"{len(there)} of {len(answer.providers)} providers"
    told.expect(0 < cores <= (os.cpu_count() or 1), "it has another number of cores")
    told.expect(memory > 0, "it has no memory")
    ready = {each.name for each in there if each.engine == "onnxruntime"}
    needed = find_spec("onnxruntime") is not None
    told.expect(not needed or "CPUExecutionProvider" in ready, "onnxruntime has no CPU there")
    return told


def activity(client: Sensorium, own: Own) -> Told:
    """`system.activity`: it has counted a call that was just made."""
    del own
    told = Told("nothing")
    before = _echoes(client)
    client.system.echo(text="counted")
    with told.timed():
        answer = client.system.activity()
    calls = sum(each.calls for each in answer.operations)
    told.answer = f"{calls:,} calls so far, event loop at most {answer.event_loop_lag_s:.3f} s late"
    told.expect(_echoes(client) == before + 1, "it did not count a call")
    return told


def _echoes(client: Sensorium) -> int:
    found = client.system.activity().operations
    return sum(each.calls for each in found if each.operation == "system.echo")
