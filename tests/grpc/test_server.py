"""The gRPC door as clients of other makes see it: health, reflection, TLS, limits, bad bytes."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.faults.observing import busy_worker, in_flight, until, until_idle
from tests.grpc.running import door, port_of, serving_grpc
from tests.http.test_tls import make_certificate
from tests.servers import Server, serving

KEY = "key-of-the-grpc-tests"
WITH_KEY = (("x-api-key", KEY),)


@pytest.fixture(scope="module")
def own() -> Iterator[tuple[Server, grpc.Channel]]:
    with serving_grpc() as found:
        yield found


@pytest.fixture
def channel(own: tuple[Server, grpc.Channel]) -> grpc.Channel:
    return own[1]


class Reflected:
    """A client that knows nothing but what the server tells of itself."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self.database = ProtoReflectionDescriptorDatabase(channel)
        self._pool = DescriptorPool(self.database)

    def call(self, service: str, method: str, request: dict[str, Any], **options: Any) -> Any:
        described = self._pool.FindServiceByName(service).FindMethodByName(method)
        answer = GetMessageClass(described.output_type)
        call = self._channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        message = ParseDict(request, GetMessageClass(described.input_type)())
        return MessageToDict(call(message, **options), preserving_proto_field_name=True)


def test_a_client_without_any_proto_calls_by_reflection(channel: grpc.Channel) -> None:
    client = Reflected(channel)
    services = client.database.get_services()
    assert {f"sensorium.v1.{n}Service" for n in ("Logs", "Metrics", "System", "Testing")} <= set(
        services
    )
    lines = [f"login failed for user {n}" for n in range(5)] + ["disk is full"]
    answer = client.call("sensorium.v1.LogsService", "Cluster", {"lines": lines})
    assert [cluster["count"] for cluster in answer["clusters"]] == ["5", "1"]
    series = [{"values": [1.0, 1.0, 1.1, 0.9, 1.0, 1.0, 1.0, 9.0], "interval_s": 60.0}]
    found = client.call(
        "sensorium.v1.MetricsService",
        "DetectAnomalies",
        {"series": series, "method": "METHOD_NOVELTY"},
    )
    assert [each["index"] for each in found["series"][0]["anomalies"]] == ["7"]


def test_it_says_that_it_is_healthy(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("junk", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", bytes(range(256))])
def test_junk_is_refused_and_survived(channel: grpc.Channel, junk: bytes) -> None:
    for method in ("LogsService/Cluster", "SystemService/Echo", "TestingService/Thread"):
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(f"/sensorium.v1.{method}")(junk)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as broken:
        list(channel.stream_stream("/sensorium.v1.LogsService/Watch")(iter([junk])))
    assert broken.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert channel.unary_unary("/sensorium.v1.SystemService/Health")(b"")


@pytest.mark.parametrize(
    "method", ["/sensorium.v1.LogsService/Nothing", "/sensorium.v1.Logs", "/other.Service/Call"]
)
def test_what_there_is_not_is_said_to_be_none(channel: grpc.Channel, method: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(method)(b"")
    ours = method.startswith("/sensorium.v1.")
    wanted = grpc.StatusCode.NOT_FOUND if ours else grpc.StatusCode.UNIMPLEMENTED
    assert refused.value.code() is wanted


def test_an_error_is_told_whole(channel: grpc.Channel) -> None:
    call = Reflected(channel).call
    with pytest.raises(grpc.RpcError) as refused:
        call("sensorium.v1.LogsService", "Cluster", {"lines": ["a"], "max_clusters": -1})
    trailers = dict(refused.value.trailing_metadata())
    body = msgspec.json.decode(trailers["sensorium-error-bin"])
    assert body["code"] == "invalid_input"
    assert body["details"]["at"] == "$.max_clusters"
    assert trailers["x-request-id"]


def test_the_request_id_comes_back(channel: grpc.Channel) -> None:
    method = channel.unary_unary("/sensorium.v1.SystemService/Health")
    _, call = method.with_call(b"", metadata=(("x-request-id", "mine-1"),))
    assert dict(call.trailing_metadata())["x-request-id"] == "mine-1"


def test_a_message_over_the_limit_is_refused() -> None:
    with serving_grpc("--grpc-max-message-bytes", "2048") as (_, channel):
        echo = channel.unary_unary("/sensorium.v1.SystemService/Echo")
        with pytest.raises(grpc.RpcError) as refused:
            echo(b"x" * 4096)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert channel.unary_unary("/sensorium.v1.SystemService/Health")(b"")


def test_a_key_is_wanted_where_there_is_one() -> None:
    with serving_grpc(SENSORIUM_API_KEYS=KEY) as (_, channel):
        activity = channel.unary_unary("/sensorium.v1.SystemService/Activity")
        for metadata in ((), (("authorization", "Bearer wrong"),)):
            with pytest.raises(grpc.RpcError) as refused:
                activity(b"", metadata=metadata)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert activity(b"", metadata=WITH_KEY)
        assert activity(b"", metadata=(("authorization", f"Bearer {KEY}"),))


def test_a_client_that_vanishes_stops_the_compute(own: tuple[Server, grpc.Channel]) -> None:
    server, _ = own
    channel = grpc.insecure_channel(f"127.0.0.1:{port_of(server)}")
    client = Reflected(channel)
    described = client._pool.FindServiceByName("sensorium.v1.TestingService")
    request = GetMessageClass(described.FindMethodByName("Process").input_type)(
        token="a", seconds=60.0
    )
    process = channel.unary_unary("/sensorium.v1.TestingService/Process")
    call = process.future(request.SerializeToString())
    worker = busy_worker(server)
    assert call.running()
    channel.close()
    with server.client() as http:
        until(lambda: in_flight(http, "testing.process") == 0, 1)
    until_idle(worker, 0.25)


@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mutual"])
def test_tls(tmp_path: Path, mutual: bool) -> None:
    certificate, key = make_certificate(tmp_path)
    flags = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    if mutual:
        flags += ["--grpc-client-ca", str(certificate)]
    flags += ["--mode", "http,grpc", "--grpc-port", "0"]
    with serving(*flags, ready=False) as server:
        address = f"127.0.0.1:{port_of(server)}"
        root, own_key = certificate.read_bytes(), key.read_bytes()
        trusted = grpc.ssl_channel_credentials(root, own_key, root)
        anonymous = grpc.ssl_channel_credentials(root)
        with grpc.secure_channel(address, trusted) as channel:
            assert channel.unary_unary("/sensorium.v1.SystemService/Health")(b"")
        with grpc.secure_channel(address, anonymous) as channel:
            health = channel.unary_unary("/sensorium.v1.SystemService/Health")
            if mutual:
                with pytest.raises(grpc.RpcError) as refused:
                    health(b"", timeout=30)
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            else:
                assert health(b"")


def test_a_taken_port_is_said_and_http_serves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serving("--mode", "all", "--grpc-port", str(port)) as server:
            until(lambda: "cannot listen" in door(server), 20, "gRPC says that it cannot")
            with server.client() as http:
                assert http.get("/v1/health").status_code == 200
                assert http.get("/readyz").status_code == 200


def test_a_stopping_server_lets_calls_finish() -> None:
    with serving_grpc() as (server, channel):
        client = Reflected(channel)
        described = client._pool.FindServiceByName("sensorium.v1.TestingService")
        method = described.FindMethodByName("Process")
        request = GetMessageClass(method.input_type)(token="late", seconds=4.0)
        with server.client() as http:
            call = channel.unary_unary("/sensorium.v1.TestingService/Process").future(
                request.SerializeToString()
            )
            until(lambda: in_flight(http, "testing.process") == 1, 5)
        server.process.terminate()
        answer = GetMessageClass(method.output_type).FromString(call.result(60))
        assert answer.token == "late"


def test_a_client_far_ahead_of_a_slow_listener_loses_nothing(channel: grpc.Channel) -> None:
    watch = channel.stream_stream("/sensorium.v1.TestingService/SlowMirror")
    database = Reflected(channel)
    service = database._pool.FindServiceByName("sensorium.v1.TestingService")
    message = GetMessageClass(service.FindMethodByName("SlowMirror").input_type)
    answer = GetMessageClass(service.FindMethodByName("SlowMirror").output_type)
    sent = [message(item={"token": f"item {number}"}).SerializeToString() for number in range(300)]
    found = [answer.FromString(data) for data in watch(iter(sent))]
    assert [each.token for each in found] == [f"item {number}" for number in range(300)]
