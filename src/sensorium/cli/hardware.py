"""`sensorium system hardware`, and what `sensorium doctor` says of the machine in a few lines."""

from collections.abc import Iterable, Iterator, Sequence

from sensorium.cli.connect import Target
from sensorium.cli.doors import Finding
from sensorium.cli.numbers import show_bytes
from sensorium.cli.render import Output
from sensorium.core.loading import load
from sensorium.models.hardware.schema import Cpu, Gpu, Hardware, Memory, Npu, Provider

HERE = Target()
PLAIN = Output()
IDLE = ("needs ", "retired ")
"""How reasons begin about which nothing can be done here."""
SAID = 4
"""So many instruction sets, the newest, are told in a line."""


def hardware(*, target: Target = HERE, output: Output = PLAIN) -> None:
    """Processors, memory, GPUs and NPUs, and the execution providers that are available.

    In a pipe: what it is, its name, and more of it, separated by tabs; then a line for each
    provider, with its engine, its name, whether it is available, and why not.
    """
    with target.client() as client:
        found = client.system.hardware()
    if output.as_json:
        output.value(found)
        return
    output.table(["", "", ""], list(_machine(found)))
    if output.drawn:
        _draw_providers(output, found.providers)
        return
    output.table(
        [], [("provider", p.engine, p.id, _yes(p.available), p.reason) for p in found.providers]
    )


def findings() -> Iterator[Finding]:
    """What the machine has, and which providers each engine has here, or why not."""
    found: Hardware = load("sensorium.models.hardware.detect:detect")()
    for what, name, more in _machine(found):
        if not what.startswith("api"):
            yield Finding(what, "ok", f"{name}, {more}" if more else name)
    for problem in found.problems:
        yield Finding("hardware", "failed", problem)
    devices: list[Gpu | Npu] = [*found.gpus, *found.npus]
    vendors = {"any", *(each.vendor for each in devices)} if devices else {""}
    for engine, providers in _by_engine(found.providers).items():
        there = ", ".join(each.id for each in providers if each.available)
        wanted = [p for p in providers if not there or p.vendor.lower() in vendors]
        reasons = [f"{ids}: {why}" for ids, why in _reasons(wanted) if not why.startswith(IDLE)]
        if there:
            reasons.append("`sensorium system hardware` says why not others")
        else:
            reasons = reasons[-1:]  # that of the CPU, which no machine lacks
        detail = "; ".join(filter(None, [there, *reasons]))
        yield Finding(f"providers {engine}", "ok" if there else "missing", detail)


def _machine(found: Hardware) -> Iterator[tuple[str, str, str]]:
    """What, which, and more of it."""
    yield "cpu", found.cpu.model or found.cpu.architecture or "unknown", _cpu(found.cpu)
    yield "memory", _bytes(found.memory.total_bytes), _memory(found.memory)
    for gpu in found.gpus:
        yield f"gpu {gpu.vendor} {gpu.index}", gpu.name, _gpu(gpu)
    for npu in found.npus:
        yield "npu", npu.name, _npu(npu)
    if not found.gpus and not found.npus:
        yield "gpu, npu", "none", ""
    for api in found.apis:
        if api.present:
            yield f"api {api.name}", api.version or "yes", api.evidence


def _cpu(cpu: Cpu) -> str:
    said = [f"{cpu.physical_cores or '?'} cores, {cpu.logical_cores or '?'} threads"]
    if cpu.logical_cores is not None and cpu.usable_cores < cpu.logical_cores:
        said.append(f"{cpu.usable_cores:g} usable here")
    if cpu.instruction_sets:
        said.append(" ".join(cpu.instruction_sets[-SAID:]))
    return ", ".join(said)


def _memory(memory: Memory) -> str:
    said = []
    if memory.limit_bytes is not None:
        said.append(f"{_bytes(memory.limit_bytes)} allowed here")
    said.append(f"{_bytes(memory.now.available_bytes)} available now")
    if memory.swap_bytes:
        said.append(f"{_bytes(memory.swap_bytes)} swap")
    return ", ".join(said)


def _gpu(gpu: Gpu) -> str:
    said: list[str] = [gpu.kind] if gpu.kind != "unknown" else []
    if gpu.memory_bytes is not None:
        said.append(f"{_bytes(gpu.memory_bytes)}, {_bytes(gpu.now.used_bytes)} used")
    if gpu.now.busy is not None:
        said.append(f"{gpu.now.busy:.0%} busy")
    if gpu.compute_capability:
        said.append(gpu.compute_capability)
    if gpu.mig:
        said.append("cut into instances (MIG)")
    said.append(f"{gpu.driver} {gpu.driver_version}".strip() if gpu.driver else "no driver")
    return ", ".join(said)


def _npu(npu: Npu) -> str:
    return npu.driver or "no driver, so it cannot be used"


def _draw_providers(output: Output, providers: Sequence[Provider]) -> None:
    """Those that are available, then why the others are not."""
    rows, styles = [], []
    for engine, members in _by_engine(providers).items():
        there = ", ".join(each.id for each in members if each.available)
        if there:
            rows.append((engine, there, "available"))
            styles.append("green")
        for ids, why in _reasons(members):
            rows.append((engine, ids, why))
            styles.append("dim")
    output.table(
        ["engine", "providers", ""], rows, title="Execution providers", styles=styles, kept=3
    )


def _by_engine(providers: Iterable[Provider]) -> dict[str, list[Provider]]:
    engines: dict[str, list[Provider]] = {}
    for each in providers:
        engines.setdefault(each.engine, []).append(each)
    return engines


def _reasons(providers: Iterable[Provider]) -> Iterator[tuple[str, str]]:
    """Each reason once, after the providers that it keeps away."""
    found: dict[str, list[str]] = {}
    for each in providers:
        if not each.available:
            found.setdefault(each.reason, []).append(each.id)
    for reason, ids in found.items():
        yield ", ".join(ids), reason


def _bytes(count: int | None) -> str:
    return "? GiB" if count is None else show_bytes(count)


def _yes(there: bool) -> str:
    return "yes" if there else "no"
