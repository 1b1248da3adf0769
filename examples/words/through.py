"""Call words.shout through a door, with the ordinary client library of each protocol.

    python through.py DOOR [ADDRESS]      DOOR: websocket, grpc, webrtc, native or mcp
"""

import asyncio
import json
import struct
import subprocess
import sys
from urllib.request import urlopen

ADDRESS = "127.0.0.1:8484"
CALL = {"id": 1, "op": "words.shout", "data": {"text": "hello"}}


def websocket(address: str) -> str:
    from websockets.sync.client import connect

    with connect(f"ws://{address}/v1/ws") as socket:
        socket.send(json.dumps(CALL))
        return json.loads(socket.recv())["data"]["text"]


def grpc(address: str) -> str:
    import grpc
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
        ProtoReflectionDescriptorDatabase,
    )

    ports = json.load(urlopen(f"http://{address}/readyz"))["ports"]
    host = address.rpartition(":")[0]
    with grpc.insecure_channel(f"{host}:{ports['grpc']}") as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))  # no file is needed
        service = pool.FindServiceByName("sensorium.v1.WordsService")
        said = GetMessageClass(service.methods_by_name["Shout"].input_type)
        shout = channel.unary_unary(
            "/sensorium.v1.WordsService/Shout", said.SerializeToString, said.FromString
        )
        return shout(said(text="hello")).text


async def webrtc(address: str) -> str:
    import httpx
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    channel = peer.createDataChannel("sensorium")
    answered = asyncio.get_running_loop().create_future()
    channel.on("open", lambda: channel.send(json.dumps(CALL)))
    channel.on("message", answered.set_result)
    await peer.setLocalDescription(await peer.createOffer())
    async with httpx.AsyncClient(base_url=f"http://{address}") as http:
        offer = {"sdp": peer.localDescription.sdp}
        answer = (await http.post("/v1/webrtc/offer", json=offer)).json()
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    message = json.loads(await answered)
    await peer.close()
    return message["data"]["text"]


def native(address: str) -> str:
    """As a browser does: it starts a server of its own, so there is no address."""
    frame, length = json.dumps(CALL).encode(), struct.Struct("=I")
    command = [sys.executable, "-m", "sensorium", "serve", "--mode", "native"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as host:
        host.stdin.write(length.pack(len(frame)) + frame)
        host.stdin.flush()
        (size,) = length.unpack(host.stdout.read(length.size))
        return json.loads(host.stdout.read(size))["data"]["text"]


async def mcp(address: str) -> str:
    from mcp import Client

    async with Client(f"http://{address}/mcp") as client:
        result = await client.call_tool("words_shout", {"text": "hello"})
        return result.structured_content["text"]


def main() -> None:
    door, address = sys.argv[1], (sys.argv[2:] or [ADDRESS])[0]
    try:
        said = globals()[door](address)
        print(f"{door}: {asyncio.run(said) if asyncio.iscoroutine(said) else said}")
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is missing: pip install -e '.[grpc,webrtc,mcp]'")


if __name__ == "__main__":
    main()
