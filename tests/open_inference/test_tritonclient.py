"""Triton's own client against a running server, over HTTP and gRPC."""

import pytest

from tests.models import files

CLIENT = """
import tritonclient.{door} as client
from tritonclient.utils import InferenceServerException
ADDRESS = {address}
triton = client.InferenceServerClient(ADDRESS)
GRPC = {grpc}
def given(name, array, datatype, binary=True):
    made = client.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, **({{}} if GRPC else {{"binary_data": binary}}))
    return made
def ranked(name, classes):
    return client.InferRequestedOutput(name, class_count=classes)
def shared(name):
    made = client.InferRequestedOutput(name)
    made.set_shared_memory("region", 12)
    return made
def wanted(name, binary=True):
    return client.InferRequestedOutput(name, **({{}} if GRPC else {{"binary_data": binary}}))
"""
DOORS = pytest.mark.parametrize("door", ["http", "grpc"])


def script(door, text):
    address = "HTTP" if door == "http" else "GRPC"
    return CLIENT.format(door=door, address=address, grpc=door == "grpc") + text


@DOORS
def test_health_and_metadata(triton, door):
    result = triton(
        script(
            door,
            """
meta = triton.get_model_metadata("mlp", **({"as_json": True} if GRPC else {}))
config = triton.get_model_config("mlp", **({"as_json": True} if GRPC else {}))
server = triton.get_server_metadata(**({"as_json": True} if GRPC else {}))
result = [triton.is_server_live(), triton.is_server_ready(), triton.is_model_ready("mlp"),
          server["name"], meta, config]
""",
        )
    )
    assert result[:4] == [True, True, True, "sensorium"]
    meta, config = result[4:]
    assert meta["name"] == "mlp"
    assert meta["platform"] == "onnxruntime_onnx"
    assert [each["name"] for each in meta["inputs"]] == ["x"]
    assert [int(n) for n in meta["outputs"][0]["shape"]] == [-1, 3]
    config = config.get("config", config)
    assert config["input"][0]["data_type"] == "TYPE_FP32"


@DOORS
def test_statistics_are_of_the_models_that_are_loaded(triton, door):
    told, unloaded, unknown = triton(
        script(
            door,
            """
as_json = {"as_json": True} if GRPC else {}
def stats(*asked):
    found = triton.get_inference_statistics(*asked, **as_json).get("model_stats", [])
    return [[each["name"], each["version"]] for each in found]
for name in ("mlp", "org/mlp"):
    triton.load_model(name)
told = [stats("mlp"), stats("mlp", "1"), stats("org/mlp"), stats("org--mlp"), sorted(stats())]
try:
    unknown = stats("nothing")
except InferenceServerException as error:
    unknown = [error.status(), error.message()]
triton.unload_model("org/mlp")
result = [told, stats("org/mlp"), unknown]
""",
        )
    )
    assert told[:4] == [[["mlp", "1"]], [["mlp", "1"]], [["org/mlp", "1"]], [["org--mlp", "1"]]]
    assert {("mlp", "1"), ("org--mlp", "1")} <= {tuple(each) for each in told[4]}
    assert unloaded == []
    status, message = unknown
    assert status == ("404" if door == "http" else "StatusCode.NOT_FOUND")
    assert "there is no model 'nothing'" in message


@DOORS
@pytest.mark.parametrize("binary", [True, False])
def test_what_goes_in_comes_out(triton, door, binary):
    result = triton(
        script(
            door,
            f"""
result = []
cases = [("identity_bool", np.array([[True, False]]), "BOOL"),
         ("identity_int8", np.array([[-128, 127]], np.int8), "INT8"),
         ("identity_uint64", np.array([[2**64 - 1, 2**53 + 1]], np.uint64), "UINT64"),
         ("identity_fp64", np.array([[0.1, 1e300]], np.float64), "FP64"),
         ("echo", np.array([[2**62 + 1, -2**62, 0, 1]], np.int64), "INT64"),
         ("strings", np.array(["héllo".encode(), b"", b"x" * 1000], dtype=object), "BYTES")]
if {binary}:
    cases.append(("identity_fp16", np.array([[0.5, 65504]], np.float16), "FP16"))
for model, array, datatype in cases:
    found = triton.infer(model, [given("x", array, datatype, {binary})], request_id="r7",
                         outputs=[wanted("y", {binary})])
    back = found.as_numpy("y")
    if datatype == "BYTES":
        back = np.array([b if isinstance(b, bytes) else b.encode() for b in back], dtype=object)
    response = found.get_response()
    id = response.id if GRPC else response["id"]
    result.append([model, id, bool(np.array_equal(back, array))])
""",
        )
    )
    assert result
    for model, request_id, same in result:
        assert same, model
        assert request_id == "r7"


@DOORS
def test_versions_and_the_repository(triton, door):
    result = triton(
        script(
            door,
            """
as_json = {"as_json": True} if GRPC else {}
x = np.ones((1, 8), np.float32)
def answer(version):
    return triton.infer("versions", [given("x", x, "FP32")], model_version=version).as_numpy("y")
first, second, newest = answer("1"), answer("2"), answer("")
triton.unload_model("versions")
gone = triton.is_model_ready("versions", "2")
triton.load_model("versions")
index = triton.get_model_repository_index(**as_json)
index = index["models"] if GRPC else index
result = [bool((first != second).all()), bool((newest == second).all()), gone,
          triton.is_model_ready("versions", "2"),
          sorted((each["name"], each["version"], each["state"]) for each in index)]
""",
        )
    )
    assert result[:4] == [True, True, False, True]
    assert ["versions", "2", "READY"] in result[4]
    assert ["versions", "1", "UNAVAILABLE"] in result[4]


@DOORS
def test_what_is_loaded_again_is_read_from_disk_again(triton, door, models):
    """Only a version that is on disk by now, so that both doors find the same."""
    files.mlp(models / f"changing_{door}" / "1", seed=1)
    result = triton(
        script(
            door,
            f"""
import shutil
x, name = np.ones((1, 8), np.float32), "changing_{door}"
def answer():
    return triton.infer(name, [given("x", x, "FP32")]).as_numpy("y")
before = answer()
folder = {str(models)!r} + "/"
shutil.copytree(folder + "versions/2", folder + name + "/1", dirs_exist_ok=True)
same = answer()
triton.load_model(name)
after = answer()
def refused(**more):
    try:
        triton.load_model(name, **more)
        return "no error"
    except InferenceServerException as error:
        return error.message()
result = [bool((before == same).all()), bool((after != before).all()),
          refused(config='{{"max_batch_size": 9}}')]
""",
        )
    )
    assert result[:2] == [True, True]
    assert "takes no parameters here, and was given config" in result[2]


@DOORS
@pytest.mark.parametrize(
    ("call", "why"),
    [
        ('"nothing", [given("x", X, "FP32")]', "there is no model"),
        ('"mlp", [given("z", X, "FP32")]', "the input x is missing"),
        ('"mlp", [given("x", X[:, :3], "FP32")]', r"FP32 \[-1, 8\], not FP32 \[1, 3\]"),
        ('"mlp", [given("x", X.astype("i4"), "INT32")]', "not INT32"),
        ('"mlp", [given("x", X, "FP32")], outputs=[wanted("w")]', "there is no output 'w'"),
        ('"mlp", [given("x", X, "FP32")], model_version="9"', "no version '9'"),
        ('"damaged", [given("x", X, "FP32")]', "cannot be used"),
        ('"mlp", [given("x", X, "FP32")], outputs=[ranked("y", 2)]', "classification"),
        ('"mlp", [given("x", X, "FP32")], outputs=[shared("y")]', "shared_memory_region"),
    ],
)
def test_mistakes_are_said(triton, door, call, why):
    result = triton(
        script(
            door,
            f"""
X = np.ones((1, 8), np.float32)
try:
    triton.infer({call})
    result = "no error"
except InferenceServerException as error:
    result = error.message()
""",
        )
    )
    assert __import__("re").search(why, result), result


def test_the_stream_answers_each_request_in_turn(triton):
    result = triton(
        script(
            "grpc",
            """
import queue
answers = queue.Queue()
triton.start_stream(callback=lambda result, error: answers.put((result, error)))
for n in range(20):
    x = np.full((1, 4), n, np.int64)
    triton.async_stream_infer("echo", [given("x", x, "INT64")])
triton.async_stream_infer("nothing", [given("x", x, "INT64")])
got = [answers.get(timeout=20) for _ in range(21)]
triton.stop_stream()
result = [[int(found.as_numpy("y")[0, 0]) for found, error in got[:20]], str(got[20][1])]
""",
        )
    )
    assert result[0] == list(range(20))
    assert "there is no model" in result[1]


def test_many_clients_get_their_own_answers(triton):
    result = triton(
        script(
            "http",
            """
from concurrent.futures import ThreadPoolExecutor
def call(n):
    own = client.InferenceServerClient(HTTP)
    good = 0
    for turn in range(20):
        x = np.full((1 + turn % 3, 4), n * 1000 + turn, np.int64)
        good += np.array_equal(own.infer("echo", [given("x", x, "INT64")]).as_numpy("y"), x)
    return good
with ThreadPoolExecutor(16) as pool:
    result = sum(pool.map(call, range(16)))
result = int(result)
""",
        )
    )
    assert result == 320


def test_a_compressed_request_is_read(triton):
    result = triton(
        script(
            "http",
            """
x = np.ones((4, 8), np.float32)
plain = triton.infer("mlp", [given("x", x, "FP32")]).as_numpy("y")
result = [bool(np.array_equal(plain, triton.infer("mlp", [given("x", x, "FP32")],
          request_compression_algorithm=each).as_numpy("y"))) for each in ("gzip", "deflate")]
""",
        )
    )
    assert result == [True, True]


@DOORS
def test_large_tensors_go_through(triton, door):
    rows = 200_000 if door == "http" else 60_000
    result = triton(
        script(
            door,
            f"""
x = np.random.default_rng(0).random(({rows}, 8), dtype=np.float32)
found = triton.infer("mlp", [given("x", x, "FP32")]).as_numpy("y")
result = [list(found.shape), float(np.abs(found).sum())]
if not GRPC:
    listed = triton.infer("mlp", [given("x", x[:50000], "FP32", False)],
                          outputs=[wanted("y", False)]).as_numpy("y")
    result.append(bool(np.array_equal(listed, found[:50000])))
""",
        )
    )
    assert result[0] == [rows, 3]
    assert result[1] > 0
    assert result[2:] in ([], [True])


def test_typed_contents_are_bounded_and_asked_for_a_key_first(triton):
    """Fourteen million numbers where none are announced: refused before they are unpacked."""
    result = triton(
        script(
            "grpc",
            """
import time
from tritonclient.grpc import service_pb2 as pb, service_pb2_grpc
import grpc
stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(ADDRESS))
request = pb.ModelInferRequest(model_name="echo")
given = request.inputs.add(name="x", datatype="INT8", shape=[0])
given.contents.int_contents.extend([1] * 14_000_000)
began = time.time()
try:
    stub.ModelInfer(request)
    result = "answered"
except grpc.RpcError as error:
    result = [error.code().name, time.time() - began]
""",
        )
    )
    assert result[0] == "INVALID_ARGUMENT"
    assert result[1] < 3


def test_an_outputs_own_word_goes_before_the_requests(served):
    with served.client() as http:
        asked = {
            "inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 4], "data": [1, 2, 3, 4]}],
            "outputs": [{"name": "y", "parameters": {"binary_data": False}}],
            "parameters": {"binary_data_output": True},
        }
        assert http.post("/v2/models/echo/infer", json=asked).json()["outputs"][0]["data"] == [
            *(1, 2, 3, 4)
        ]
        asked["outputs"][0]["parameters"] = {"classification": 3}
        answer = http.post("/v2/models/echo/infer", json=asked)
        assert answer.status_code == 400
        assert "classification" in answer.json()["error"]


def test_an_input_without_data_is_named(served):
    with served.client() as http:
        given = {"name": "x", "datatype": "FP32", "shape": [1, 8]}
        answer = http.post("/v2/models/mlp/infer", json={"inputs": [given]})
    assert answer.status_code == 400
    assert "the input x has neither data nor binary_data_size" in answer.json()["error"]


def test_many_strings_are_written_as_json(triton):
    result = triton(
        script(
            "http",
            """
x = np.array([str(n).encode() for n in range(20_000)], dtype=object)
found = triton.infer("strings", [given("x", x, "BYTES")], outputs=[wanted("y", False)])
result = [str(n) for n in range(20_000)] == [
    each if isinstance(each, str) else each.decode() for each in found.as_numpy("y")]
""",
        )
    )
    assert result is True
