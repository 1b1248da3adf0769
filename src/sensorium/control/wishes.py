"""What is leased: a wish for bytes of a device, and the lease that fulfils it."""

from dataclasses import dataclass, field

from sensorium.control.devices import Device


@dataclass(frozen=True)
class Wish:
    """What somebody wants."""

    holder: str
    """Who: the id of a principal."""
    size: int
    devices: tuple[str, ...] = ()
    """Any of these will do; none named: any there is."""
    priority: int = 50
    duration_s: float = 300.0
    preempt: bool = False
    """Take from leases of lower priority what is missing."""
    purpose: str = ""


@dataclass
class Lease:
    """Bytes that somebody holds."""

    id: str
    wish: Wish
    device: Device
    expires_at: float
    """On the clock of `time.monotonic`."""
    preempted: list[str] = field(default_factory=list)
    """The leases that were taken back for it."""
