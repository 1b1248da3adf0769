"""Models in pipelines: tensors made for them, and what they give made of use."""

import base64

import numpy as np
import pytest

from sensorium.core.errors import InvalidInputError, NotFoundError, SensoriumError
from tests.capabilities.pipelines.conftest import Plain, Runner, made

PREPARE = {
    "name": "row",
    "function": "to_tensor",
    "request": {"value": "$input.row", "datatype": "FP32", "shape": [1, 8]},
}
MLP = {"name": "mlp", "model": "mlp", "request": {"x": "$row"}}
BEST = {"name": "best", "function": "top_k", "request": {"value": "$mlp.y", "k": 2}}
ROW = [1.0, 2, 3, 4, 5, 6, 7, 8]


def expected(runner: Runner) -> list[float]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 8], "values": ROW}
    answer = runner.call("models.infer", {"model": "mlp", "inputs": [tensor]})
    values: list[float] = answer["outputs"][0]["values"]
    return values


def test_a_model_gives_what_it_gives_when_called_alone(runner: Runner) -> None:
    answer = runner.run(PREPARE, MLP, BEST, inputs={"row": ROW})
    whole = expected(runner)
    assert answer["outputs"]["best"] == [
        {"index": index, "score": whole[index], "label": ""}
        for index in sorted(range(len(whole)), key=lambda at: -whole[at])[:2]
    ]
    data = base64.b64decode(answer["outputs"]["mlp"]["y"]["$tensor"]["data"])
    assert np.frombuffer(data, np.float32).tolist() == whole


def test_what_one_run_gave_another_takes(runner: Runner) -> None:
    first = runner.run(PREPARE, inputs={"row": ROW})["outputs"]["row"]
    assert set(first) == {"$tensor"}
    request = made({**MLP, "request": {"x": "$input.row"}}, BEST, inputs={"row": first})
    request["pipeline"]["inputs"]["row"] = {"kind": "tensor"}
    assert runner.call("pipelines.run", request)["outputs"]["best"][0]["score"] == max(
        expected(runner)
    )


def test_a_picture_goes_through_a_model(runner: Runner) -> None:
    picture = {"width": 4, "height": 4, "data": base64.b64encode(bytes(range(48))).decode()}
    request = made(
        {"name": "small", "function": "letterbox",
         "request": {"value": "$input.picture", "width": 4, "height": 2}},
        {"name": "gray", "function": "to_tensor",
         "request": {"value": "$small", "layout": "nchw", "datatype": "FP32"}},
        {"name": "scaled", "function": "normalise",
         "request": {"value": "$gray", "scale": 1 / 255, "mean": [0.5, 0.5, 0.5]}},
        {"name": "row", "function": "to_tensor", "request": {"value": "$scaled", "shape": [3, 8]}},
        MLP,
        {"name": "sure", "function": "softmax", "request": {"value": "$mlp.y"}},
        {"name": "best", "function": "argmax", "request": {"value": "$sure"}},
        inputs={"picture": picture},
    )  # fmt: skip
    request["pipeline"]["inputs"]["picture"] = {"kind": "image"}
    answer = runner.call("pipelines.run", request)["outputs"]
    assert answer["small"]["$image"]["width"] == 4
    assert len(answer["best"]) == 3


@pytest.mark.parametrize(
    ("stage", "code", "why"),
    [
        ({**MLP, "model": "nobodys"}, "not_found", "stage mlp: .*nobodys"),
        ({**MLP, "request": {"z": "$row"}}, "invalid_input", "stage mlp: "),
        ({**MLP, "request": {"x": [1.0, 2.0]}}, "invalid_input", "stage mlp: "),
        ({**MLP, "request": {"x": "text"}}, "invalid_input", "a text does not become a tensor"),
    ],
)
def test_what_a_model_refuses_names_its_stage(
    runner: Runner, stage: Plain, code: str, why: str
) -> None:
    with pytest.raises((NotFoundError, InvalidInputError), match=why) as failed:
        runner.run(PREPARE, stage, inputs={"row": ROW})
    assert (failed.value.code, failed.value.details["stage"]) == (code, "mlp")


def test_an_output_that_a_model_has_not_is_told(runner: Runner) -> None:
    bad = {**BEST, "request": {"value": "$mlp.z"}}
    with pytest.raises(InvalidInputError, match=r"stage best: \$mlp.z: there is no member 'z'"):
        runner.run(PREPARE, MLP, bad, inputs={"row": ROW})


def test_a_late_model_falls_back_on_another(runner: Runner) -> None:
    prepare = {"name": "rows", "function": "to_tensor"}
    prepare |= {"request": {"value": [[0.0] * 256] * 64, "datatype": "FP32"}}
    slow = {"name": "slow", "model": "slow", "request": {"x": "$rows"}, "deadline_s": 0.001}
    slow["fallback"] = {"model": "mlp", "request": {"x": "$row"}}
    answer = runner.run(PREPARE, prepare, slow, inputs={"row": ROW}, outputs={"y": "$slow.y"})
    assert answer["outputs"]["y"]["$tensor"]["shape"] == [1, len(expected(runner))]
    assert answer["degraded"].startswith("slow: deadline_exceeded")


def test_tensors_do_not_go_where_text_does(runner: Runner) -> None:
    say = {"name": "say", "operation": "system.echo", "request": {"text": "$mlp.y"}}
    with pytest.raises(SensoriumError, match=r"takes text, and .*mlp.y is map"):
        runner.run(PREPARE, MLP, say, inputs={"row": ROW})
    say["request"] = {"data": "$mlp.y.shape"}
    assert runner.run(PREPARE, MLP, say, inputs={"row": ROW})["outputs"]["say"]["data"][0] == 1
