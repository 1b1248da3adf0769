"""What is told of a machine. What changes from moment to moment stands under `now`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sensorium.core.types import Count, Fraction

Kind = Literal["discrete", "integrated", "unknown"]
ApiName = Literal["cuda", "rocm", "vulkan", "opencl", "level_zero", "directml", "metal"]
EngineName = Literal["onnxruntime", "llama.cpp", "torch", "litert"]
Platform = Literal["linux", "windows", "macos", "android", "ios", "browser"]


class Cpu(Struct, frozen=True, kw_only=True):
    """The processors."""

    model: Annotated[str, Meta(description="Its name; empty where nobody tells.")] = ""
    vendor: Annotated[str, Meta(description="Who made it: `intel`, `amd`, `arm`, …")] = ""
    architecture: Annotated[str, Meta(description="`x86_64`, `aarch64`, …")] = ""
    sockets: Annotated[Count | None, Meta(description="Processors in sockets.")] = None
    physical_cores: Annotated[Count | None, Meta(description="Cores in all sockets.")] = None
    logical_cores: Annotated[
        Count | None, Meta(description="Threads that the cores run at once, in all.")
    ] = None
    allowed_cores: Annotated[
        Count | None, Meta(description="Logical cores that this process may run on (affinity).")
    ] = None
    quota_cores: Annotated[
        float | None, Meta(description="Cores' worth of time that a container's limit leaves it.")
    ] = None
    usable_cores: Annotated[
        float, Meta(description="What it may really use: the least of the three above; 0: unknown.")
    ] = 0.0
    base_mhz: Annotated[float | None, Meta(description="Frequency that it keeps up.")] = None
    max_mhz: Annotated[float | None, Meta(description="Highest frequency of any core.")] = None
    instruction_sets: Annotated[
        list[str],
        Meta(
            description="Those that matter to arithmetic: `avx2`, `avx512_bf16`, `neon`, `sve`, …"
        ),
    ] = []


class MemoryNow(Struct, frozen=True, kw_only=True):
    """Memory at this moment."""

    available_bytes: Annotated[
        Count | None, Meta(description="What this process may still take, limits counted.")
    ] = None
    limit_used_bytes: Annotated[
        Count | None, Meta(description="What stands against the container's limit.")
    ] = None
    swap_free_bytes: Annotated[Count | None, Meta(description="Swap that is free.")] = None


class Memory(Struct, frozen=True, kw_only=True):
    """Main memory."""

    total_bytes: Annotated[Count | None, Meta(description="What the machine has.")] = None
    limit_bytes: Annotated[
        Count | None, Meta(description="A container's limit, where there is one.")
    ] = None
    usable_bytes: Annotated[
        Count | None, Meta(description="What this process may have: the lesser of the two.")
    ] = None
    swap_bytes: Annotated[Count | None, Meta(description="Swap in all.")] = None
    now: Annotated[MemoryNow, Meta(description="How it is at this moment.")] = MemoryNow()


class GpuNow(Struct, frozen=True, kw_only=True):
    """A GPU at this moment."""

    used_bytes: Annotated[Count | None, Meta(description="Memory in use, by anybody.")] = None
    own_bytes: Annotated[
        Count | None, Meta(description="Of that, by this server and its workers, where told.")
    ] = None
    busy: Annotated[Fraction | None, Meta(description="Share of the last moments it worked.")] = (
        None
    )


class Gpu(Struct, frozen=True, kw_only=True):
    """A graphics processor."""

    index: Annotated[Count, Meta(description="Its place among those of its vendor, from 0.")]
    vendor: Annotated[str, Meta(description="`nvidia`, `amd`, `intel` or `apple`.")]
    name: Annotated[str, Meta(description="Its name, or its PCI ids where nobody tells.")]
    kind: Annotated[Kind, Meta(description="integrated: it shares the main memory.")] = "unknown"
    uuid: Annotated[str, Meta(description="The driver's name for this very one.")] = ""
    pci: Annotated[str, Meta(description="Its place: `0000:01:00.0`.")] = ""
    device_id: Annotated[str, Meta(description="PCI ids of vendor and device: `10de:2330`.")] = ""
    driver: Annotated[str, Meta(description="What drives it; empty: nothing does.")] = ""
    driver_version: Annotated[str, Meta(description="The driver's version.")] = ""
    memory_bytes: Annotated[
        Count | None, Meta(description="Memory of its own; null where it has none or nobody tells.")
    ] = None
    compute_capability: Annotated[
        str, Meta(description="What code is compiled for: `9.0` (NVIDIA), `gfx1100` (AMD).")
    ] = ""
    mig: Annotated[bool, Meta(description="It is cut into instances (NVIDIA's MIG).")] = False
    cores: Annotated[Count | None, Meta(description="Its cores, where told (Apple).")] = None
    now: Annotated[GpuNow, Meta(description="How it is at this moment.")] = GpuNow()


class MemoryOf(Struct, frozen=True, kw_only=True):
    """How much memory a device has, and how much of it is in use by anybody."""

    name: str
    """`cpu`, or vendor and index: `nvidia:0`."""
    total_bytes: int
    used_bytes: int


class Npu(Struct, frozen=True, kw_only=True):
    """A neural processor."""

    vendor: Annotated[str, Meta(description="`intel`, `amd`, `qualcomm`, `apple`, …")]
    name: Annotated[str, Meta(description="Its name, or its PCI ids where nobody tells.")]
    pci: Annotated[str, Meta(description="Its place: `0000:00:0b.0`.")] = ""
    device_id: Annotated[str, Meta(description="PCI ids of vendor and device: `8086:7d1d`.")] = ""
    driver: Annotated[
        str, Meta(description="What drives it; empty: nothing does, so it cannot be used.")
    ] = ""
    device: Annotated[str, Meta(description="Its device file: `accel0`.")] = ""


class Api(Struct, frozen=True, kw_only=True):
    """A way to program an accelerator."""

    name: Annotated[ApiName, Meta(description="Which.")]
    present: Annotated[bool, Meta(description="Its driver and what loads it are here.")]
    version: Annotated[str, Meta(description="Its version, where told.")] = ""
    evidence: Annotated[str, Meta(description="What was found of it.")] = ""


class Provider(Struct, frozen=True, kw_only=True):
    """An execution provider: what a model can be made to run on, by which engine."""

    id: Annotated[str, Meta(description="The name to ask for: `cuda`, `openvino`, `cpu`, …")]
    engine: Annotated[EngineName, Meta(description="The library that has it.")]
    name: Annotated[str, Meta(description="The library's own name: `CUDAExecutionProvider`.")]
    vendor: Annotated[str, Meta(description="Whose hardware it is for.")]
    device: Annotated[Literal["cpu", "gpu", "npu"], Meta(description="What computes.")]
    platforms: Annotated[list[Platform], Meta(description="Where it exists.")]
    package: Annotated[str, Meta(description="What brings it; empty: a build of one's own.")] = ""
    note: Annotated[str, Meta(description="What else to know of it.")] = ""
    available: Annotated[bool, Meta(description="It can be asked for here.")]
    reason: Annotated[str, Meta(description="Why not, and what to do.")] = ""


class Hardware(Struct, frozen=True, kw_only=True):
    """What this machine can compute with."""

    cpu: Annotated[Cpu, Meta(description="The processors.")]
    memory: Annotated[Memory, Meta(description="Main memory.")]
    gpus: Annotated[list[Gpu], Meta(description="Graphics processors that can compute.")]
    npus: Annotated[list[Npu], Meta(description="Neural processors.")]
    apis: Annotated[list[Api], Meta(description="Ways to program them, here or not.")]
    providers: Annotated[list[Provider], Meta(description="Every one known, available or not.")]
    problems: Annotated[
        list[str], Meta(description="What could not be asked, such as a driver that hangs.")
    ] = []
