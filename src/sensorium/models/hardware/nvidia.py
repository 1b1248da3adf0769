"""NVIDIA's driver on this machine: asked in time or not at all, and laid over what else is seen."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from sensorium.core.errors import UnavailableError
from sensorium.core.loading import load
from sensorium.models.hardware import files
from sensorium.models.hardware.bounded import Bounded
from sensorium.models.hardware.nvml import Answer, NoDriverError, Nvml, merged
from sensorium.models.hardware.parts import Check, Parts
from sensorium.models.hardware.schema import Api

LIMIT_S = 5.0
"""The first question wakes sleeping GPUs, which takes a second or two."""
Ask = Callable[[Check], Answer]


@cache
def driver() -> Bounded[Answer]:
    """The driver of this machine, given `LIMIT_S` for each answer."""
    made: list[Nvml] = []

    def read() -> Answer:
        if not made:
            library = load("sensorium.models.hardware.nvml_library:LIBRARY")
            made.append(Nvml(library, own_processes))
        return made[0].read()

    return Bounded(read, LIMIT_S)


def added(parts: Parts, ask: Ask, check: Check) -> Parts:
    """The machine with what the driver tells, where there is a sign of one.

    A driver that fails or hangs becomes a problem, and the machine is what else is seen of it.
    """
    if not _is_there(parts):
        return parts
    try:
        answer = ask(check)
    except NoDriverError:
        return parts
    except TimeoutError:
        problem = f"NVIDIA's driver did not answer within {LIMIT_S:g} s"
    except UnavailableError:
        problem = "nvidia-ml-py is not installed: pip install nvidia-ml-py"
    except OSError as error:
        problem = str(error)
    else:
        apis = [_with_version(api, answer) for api in parts.apis]
        return parts._replace(gpus=merged(parts.gpus, answer.gpus), apis=apis)
    return parts._replace(problems=(*parts.problems, problem))


def _is_there(parts: Parts) -> bool:
    """Whether to ask: the library is not even imported where there is no sign of a driver."""
    cuda = any(api.present for api in parts.apis if api.name == "cuda")
    return cuda or any(gpu.vendor == "nvidia" and gpu.driver == "nvidia" for gpu in parts.gpus)


def _with_version(api: Api, answer: Answer) -> Api:
    if api.name != "cuda":
        return api
    evidence = api.evidence or f"driver {answer.driver_version}"
    return replace(api, present=True, version=answer.cuda_version, evidence=evidence)


def own_processes() -> set[int]:
    """This process and its workers."""
    own = os.getpid()
    tasks = Path(f"/proc/{own}/task")
    children = (files.text(tasks / task / "children") for task in files.entries(tasks))
    return {own, *(int(number) for text in children for number in text.split())}
