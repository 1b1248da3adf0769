"""`sensorium system hardware`, and what `doctor` says of the machine."""

import json
import os
from importlib.util import find_spec

from sensorium.cli.hardware import _gpu, _machine
from sensorium.models.hardware.schema import Api, Cpu, Gpu, GpuNow, Hardware, Memory, Npu
from tests.cli.running import on_terminal, sensorium
from tests.servers import Server


def test_as_json_it_is_whole() -> None:
    ran = sensorium("system", "hardware", "--json")
    assert (ran.status, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert found["cpu"]["logical_cores"] == os.cpu_count()
    assert len(found["providers"]) >= 25


def test_in_a_pipe_each_provider_is_a_line(server: Server) -> None:
    ran = sensorium("system", "hardware", "--server", server.url)
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert [row[0] for row in rows[:2]] == ["cpu", "memory"]
    assert "GiB available now" in rows[1][2]
    providers = {(row[1], row[2]): row[3:] for row in rows if row[0] == "provider"}
    assert providers["onnxruntime", "directml"] == ["no", "needs Windows"]
    if find_spec("onnxruntime") is not None:
        assert providers["onnxruntime", "cpu"] == ["yes", ""]


def test_a_terminal_gets_each_reason_once() -> None:
    status, seen = on_terminal("system", "hardware")
    assert status == 0
    assert "Execution providers" in seen
    assert seen.count("needs a browser") == 1
    assert "webnn, js" in seen


def test_doctor_says_it_in_a_few_lines() -> None:
    ran = sensorium("doctor", "--json", SENSORIUM_PORT="0")
    found = {each["check"]: each for each in json.loads(ran.out)}
    assert {"cpu", "memory", "providers onnxruntime", "providers torch"} <= found.keys()
    assert "GiB" in found["memory"]["detail"]
    if find_spec("onnxruntime") is not None:
        detail = found["providers onnxruntime"]["detail"]
        assert found["providers onnxruntime"]["state"] == "ok"
        assert "cpu" in detail
        assert "`sensorium system hardware` says why not others" in detail
    if find_spec("torch") is None:
        assert found["providers torch"]["state"] == "missing"
        assert found["providers torch"]["detail"].startswith("cpu: torch is not installed: pip ")


def test_what_is_said_of_a_machine_with_everything() -> None:
    gpu = Gpu(
        index=0,
        vendor="nvidia",
        name="NVIDIA H100",
        kind="discrete",
        driver="nvidia",
        driver_version="570.86",
        memory_bytes=80 << 30,
        compute_capability="9.0",
        mig=True,
        now=GpuNow(used_bytes=3 << 29, busy=0.5),
    )
    assert _gpu(gpu) == (
        "discrete, 80.0 GiB, 1.5 GiB used, 50% busy, 9.0, cut into instances (MIG), nvidia 570.86"
    )
    machine = Hardware(
        cpu=Cpu(physical_cores=4, logical_cores=8, usable_cores=1.5),
        memory=Memory(total_bytes=16 << 30, limit_bytes=2 << 30, swap_bytes=1 << 30),
        gpus=[gpu],
        npus=[Npu(vendor="amd", name="Ryzen AI")],
        apis=[Api(name="cuda", present=True, version="12.8"), Api(name="metal", present=False)],
        providers=[],
    )
    assert list(_machine(machine)) == [
        ("cpu", "unknown", "4 cores, 8 threads, 1.5 usable here"),
        ("memory", "16.0 GiB", "2.0 GiB allowed here, ? GiB available now, 1.0 GiB swap"),
        ("gpu nvidia 0", "NVIDIA H100", _gpu(gpu)),
        ("npu", "Ryzen AI", "no driver, so it cannot be used"),
        ("api cuda", "12.8", ""),
    ]
