"""What Linux tells of the machine, below a root folder."""

from pathlib import Path

from sensorium.models.hardware import apis, cgroups, cpu, gpus, memory, npus, nvidia, pci
from sensorium.models.hardware.nvidia import Ask
from sensorium.models.hardware.parts import Check, Parts
from sensorium.models.hardware.schema import Cpu


class Linux:
    """A machine below `root`; processors are read once, the rest each time."""

    def __init__(self, root: Path, ask_nvidia: Ask) -> None:
        self._root = root
        self._ask_nvidia = ask_nvidia
        self._cpu: Cpu | None = None

    def read(self, check: Check) -> Parts:
        """The machine as it is now; `check` raises where nobody waits any more."""
        return nvidia.added(self.seen(), self._ask_nvidia, check)

    def seen(self) -> Parts:
        """The same without what a driver has to be asked for, so that nothing is waited for."""
        root = self._root
        limits = cgroups.read(root)
        if self._cpu is None:
            self._cpu = cpu.read(root)
        devices = pci.devices(root)
        return Parts(
            cpu=cpu.limited(self._cpu, root, limits.cores),
            memory=memory.read(root, limits),
            gpus=gpus.read(root, devices),
            npus=npus.read(root, devices),
            apis=apis.read(root),
        )
