"""The processors on Linux, from `/proc/cpuinfo` and sysfs."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from sensorium.models.hardware import files, instructions
from sensorium.models.hardware.schema import Cpu

CPUINFO_BYTES = 4 << 20
"""That of a machine with 1,000 cores has less."""
SYSTEM = "sys/devices/system/cpu"
VENDORS = {
    "GenuineIntel": "intel",
    "AuthenticAMD": "amd",
    "HygonGenuine": "hygon",
    "CentaurHauls": "zhaoxin",
    "Shanghai": "zhaoxin",
}
_SPACES = re.compile(r"\s+")
_CORE = re.compile(r"cpu\d{1,6}")


def read(root: Path) -> Cpu:
    """What cannot change while the machine runs: `limited` adds what can."""
    blocks = _blocks(files.text(root / "proc/cpuinfo", CPUINFO_BYTES))
    first = blocks[0] if blocks else {}
    sockets, cores = _topology(root, blocks)
    return Cpu(
        model=_model(root, blocks),
        vendor=_vendor(first),
        architecture=_architecture(root, first),
        sockets=sockets,
        physical_cores=cores,
        logical_cores=_logical(root, blocks),
        base_mhz=_highest(root, "base_frequency"),
        max_mhz=_highest(root, "cpuinfo_max_freq"),
        instruction_sets=_instruction_sets(first),
    )


def limited(cpu: Cpu, root: Path, quota_cores: float | None) -> Cpu:
    """The same with what binds this process: its affinity and its container's quota."""
    status = files.pairs(files.text(root / "proc/self/status"))
    allowed = len(files.numbered(status.get("Cpus_allowed_list", ""))) or None
    if allowed is not None and cpu.logical_cores is not None:
        allowed = min(allowed, cpu.logical_cores)  # the kernel lists cores that may yet be added
    known = [each for each in (cpu.logical_cores, allowed, quota_cores) if each is not None]
    return replace(
        cpu,
        allowed_cores=allowed,
        quota_cores=quota_cores,
        usable_cores=float(min(known, default=0)),
    )


def _blocks(found: str) -> list[dict[str, str]]:
    """A dictionary for each logical core, and perhaps one of the whole machine's at the end."""
    blocks = (files.pairs(part) for part in re.split(r"\n\s*\n", found))
    return [block for block in blocks if block]


def _model(root: Path, blocks: Sequence[Mapping[str, str]]) -> str:
    names = (block.get("model name") or block.get("cpu model") for block in blocks)
    named = next(filter(None, names), "") or _arm_model(blocks)
    if not named:
        named = files.word(root / "proc/device-tree/model")
    return _SPACES.sub(" ", named).strip()[:256]


def _arm_model(blocks: Sequence[Mapping[str, str]]) -> str:
    """Each kind of core once: small ones and big ones may stand side by side."""
    numbers = ((_hex(each, "CPU implementer"), _hex(each, "CPU part")) for each in blocks)
    known = dict.fromkeys(
        instructions.CORES[pair] for pair in numbers if pair in instructions.CORES
    )
    return ", ".join(known)


def _vendor(first: Mapping[str, str]) -> str:
    told = first.get("vendor_id", "")
    return VENDORS.get(told) or instructions.IMPLEMENTERS.get(_hex(first, "CPU implementer"), "")


def _hex(block: Mapping[str, str], name: str) -> int:
    try:
        return int(block.get(name, ""), 16)
    except ValueError:
        return -1


def _architecture(root: Path, first: Mapping[str, str]) -> str:
    if told := files.word(root / "proc/sys/kernel/arch"):
        return told
    if "flags" in first:
        return "x86_64" if "lm" in first["flags"].split() else "i686"
    if "CPU architecture" in first:
        return "aarch64" if first["CPU architecture"] in ("8", "AArch64") else "arm"
    return "riscv64" if first.get("isa", "").startswith("rv64") else ""


def _instruction_sets(first: Mapping[str, str]) -> list[str]:
    if "flags" in first:
        return instructions.of_x86(first["flags"].split())
    return instructions.of_arm(first.get("Features", "").split())


def _logical(root: Path, blocks: Sequence[Mapping[str, str]]) -> int | None:
    online = len(files.numbered(files.text(root / SYSTEM / "online")))
    return online or sum("processor" in block for block in blocks) or None


def _topology(root: Path, blocks: Sequence[Mapping[str, str]]) -> tuple[int | None, int | None]:
    """Sockets and cores: sysfs has them for every architecture, cpuinfo for x86."""
    sockets: set[str] = set()
    cores: set[str] = set()
    for name in files.entries(root / SYSTEM):
        if _CORE.fullmatch(name):
            topology = root / SYSTEM / name / "topology"
            sockets.add(files.word(topology / "physical_package_id"))
            siblings = files.word(topology / "core_cpus_list")
            cores.add(siblings or files.word(topology / "thread_siblings_list"))
    for known in (sockets, cores):
        known.discard("")
    if not cores:
        places = [
            (b["physical id"], b["core id"])
            for b in blocks
            if {"physical id", "core id"} <= b.keys()
        ]
        return len({socket for socket, _ in places}) or None, len(set(places)) or None
    return len(sockets) or None, len(cores)


def _highest(root: Path, name: str) -> float | None:
    """The highest frequency of any core, in MHz; the kernel tells kHz."""
    folder = root / SYSTEM / "cpufreq"
    told = (files.number(folder / policy / name) for policy in files.entries(folder))
    highest = max((each for each in told if each), default=0)
    return highest / 1000 if 0 < highest < 1e9 else None
