"""What the demonstration asks of the server itself, and what must come back."""

import secrets

from sensorium.app import MODULES
from sensorium.cli.demo_told import Own, Told
from sensorium.client import Sensorium
from sensorium.core.registry import Registry
from sensorium.core.version import VERSION


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
