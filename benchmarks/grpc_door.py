"""gRPC: what a small call takes beside a bare grpc.aio handler, and how fast a stream comes.

Both echo a kilobyte, and one client makes one call after the other, over one channel to each, in
turns. Ours checks a key, gives a request id, counts, keeps a deadline and validates; the bare
handler decodes and encodes. A stream is 100,000 items of one number, from the event loop and from
a worker.
"""

import time
from collections.abc import Callable
from statistics import median

import grpc
from google.protobuf.wrappers_pb2 import Int64Value, StringValue

from benchmarks.peer_environment import ensure
from benchmarks.report import Row, show
from benchmarks.running import KEY, free_port, ours, peer

ROUNDS = 9
CALLS = 600
ITEMS = 100_000
RATIO = 1.3
P50_MS = 1.0
STREAM_PER_S = 20_000
MESSAGE = StringValue(value="x" * 1000).SerializeToString()
"""Also what `system.echo` takes: its text is field 1 too."""
COUNT = Int64Value(value=ITEMS).SerializeToString()
"""What `testing.count` takes: how many is field 1."""
OURS = "sensorium.v1.TestingService"
STREAMS = {
    ("bare.Echo", "Count"): "",
    (OURS, "CountAsync"): "from the event loop",
    (OURS, "Count"): "from a worker",
}
AUTHORISED = (("x-api-key", KEY),)

Call = Callable[[bytes], bytes]


def seconds_of(call: Call) -> list[float]:
    """How long each of some calls took."""
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call(MESSAGE)
        times.append(time.perf_counter() - began)
    return times


def stream_per_s(channel: grpc.Channel, method: str) -> float:
    """Items a second of a stream of `ITEMS`."""
    stream = channel.unary_stream(method)
    began = time.perf_counter()
    found = sum(1 for _ in stream(COUNT, metadata=AUTHORISED))
    assert found == ITEMS
    return ITEMS / (time.perf_counter() - began)


def measure() -> list[Row]:
    """Both servers in turns, then the streams."""
    ensure()
    port = free_port()
    flags = ("--warm", "--mode", "http,grpc", "--grpc-port", str(port))
    with ours(*flags, environ={"SENSORIUM_API_KEYS": KEY}) as server, peer("bare_grpc.py") as bare:
        server.first_answer_s("/v1/health")
        with (
            grpc.insecure_channel(f"127.0.0.1:{port}") as our_channel,
            grpc.insecure_channel(f"127.0.0.1:{bare.port}") as bare_channel,
        ):
            for channel in (our_channel, bare_channel):
                grpc.channel_ready_future(channel).result(30)
            echo = our_channel.unary_unary("/sensorium.v1.SystemService/Echo")
            bare_echo: Call = bare_channel.unary_unary("/bare.Echo/Echo")

            def our_echo(message: bytes) -> bytes:
                answer: bytes = echo(message, metadata=AUTHORISED)
                return answer

            for call in (our_echo, bare_echo):
                seconds_of(call)
            rounds = [(seconds_of(our_echo), seconds_of(bare_echo)) for _ in range(ROUNDS)]
            channels = {"bare.Echo": bare_channel}
            streams = {
                (service, verb): median(
                    stream_per_s(channels.get(service, our_channel), f"/{service}/{verb}")
                    for _ in range(3)
                )
                for service, verb in STREAMS
            }
    return [*_unary_rows(rounds), *_stream_rows(streams)]


def _unary_rows(rounds: list[tuple[list[float], list[float]]]) -> list[Row]:
    mine, others = ([1e3 * median(each[side]) for each in rounds] for side in (0, 1))
    ratio = median(own / other for own, other in zip(mine, others, strict=True))
    all_of = [sorted(1e3 * second for each in rounds for second in each[side]) for side in (0, 1)]
    p99 = [times[int(0.99 * len(times))] for times in all_of]
    p50 = median(mine)
    spread = f"{min(mine):.2f} to {max(mine):.2f} ms in {len(rounds)} rounds"
    return [
        Row(
            "gRPC call of 1 KB: p50, beside a bare grpc.aio handler",
            ratio,
            "x",
            f"<= {RATIO:g}x",
            ratio <= RATIO,
            f"p50 {median(others):.2f}, p99 {p99[1]:.2f} ms",
            f"p50 {p50:.2f} ms ({spread}), p99 {p99[0]:.2f} ms",
        ),
        Row("gRPC call of 1 KB: p50", p50, "ms", f"< {P50_MS:g} ms", p50 < P50_MS),
    ]


def _stream_rows(streams: dict[tuple[str, str], float]) -> list[Row]:
    bare = streams["bare.Echo", "Count"]
    return [
        Row(
            f"gRPC stream {where}",
            streams[stream],
            "messages/s",
            f">= {STREAM_PER_S:,}",
            streams[stream] >= STREAM_PER_S,
            f"a bare grpc.aio handler: {bare:,.0f}",
            f"{streams[stream] / bare:.2f}x of the bare handler",
        )
        for stream, where in STREAMS.items()
        if stream[0] != "bare.Echo"
    ]


if __name__ == "__main__":
    show(measure())
