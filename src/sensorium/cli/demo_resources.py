"""What the demonstration leases, and how it sees that it has it."""

from sensorium.cli.demo_told import Own, Told
from sensorium.client import Sensorium

SIZE = 64 << 20
PURPOSE = "demonstration"


def lease(client: Sensorium, own: Own) -> Told:
    """`resources.lease`: memory for a while."""
    del own
    told = Told(f"{SIZE >> 20} MiB of main memory for a minute")
    with told.timed():
        answer = client.resources.lease(
            size_bytes=SIZE, devices=["cpu"], duration_s=60.0, purpose=PURPOSE
        )
    told.answer = f"{answer.size_bytes >> 20} MiB on {answer.device}"
    told.expect(answer.size_bytes == SIZE, "it is another size")
    return told


def usage(client: Sensorium, own: Own) -> Told:
    """`resources.usage`: the lease is seen."""
    del own
    told = Told("nothing")
    with told.timed():
        answer = client.resources.usage()
    shown = [
        f"{each.device}: {each.leased_bytes >> 20} MiB leased, {each.free_bytes >> 30} GiB free"
        for each in answer.devices
    ]
    told.answer = "; ".join(shown)
    told.expect(any(each.purpose == PURPOSE for each in answer.leases), "the lease is not seen")
    return told


def renew(client: Sensorium, own: Own) -> Told:
    """`resources.renew`: the lease lasts longer."""
    del own
    told = Told("ten minutes more")
    name = _own_lease(client)
    with told.timed():
        answer = client.resources.renew(lease=name, duration_s=600.0)
    told.answer = f"{answer.expires_in_s:.0f} s left"
    told.expect(answer.expires_in_s > 60, "it does not last longer")
    return told


def release(client: Sensorium, own: Own) -> Told:
    """`resources.release`: the memory is free again."""
    del own
    told = Told("the lease")
    name = _own_lease(client)
    with told.timed():
        answer = client.resources.release(lease=name)
    left = sum(each.leased_bytes for each in client.resources.usage().devices)
    told.answer = f"{answer.ended}, {left} bytes leased"
    told.expect(answer.ended == "released" and left == 0, "it is still leased")
    return told


def _own_lease(client: Sensorium) -> str:
    return next(each.lease for each in client.resources.usage().leases if each.purpose == PURPOSE)
