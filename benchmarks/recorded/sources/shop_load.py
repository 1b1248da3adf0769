"""Buyers: open-loop clients of the shop that come, look, order, mistype and leave."""

import argparse
import asyncio
import contextlib
import json
import random
import time
from pathlib import Path

from benchmarks.recorded.sources.shop import USERS
from benchmarks.recorded.sources.shop_core import SKUS


class Buyer:
    """One buyer's connection to the shop."""

    def __init__(self, port: int, bad: float, crowding: float) -> None:
        self.port = port
        self.bad = bad
        self.crowding = crowding

    def item(self) -> str:
        """An item number; the higher `crowding`, the more often the same few."""
        return SKUS[int(len(SKUS) * random.random() ** self.crowding)]

    async def visit(self, pace_s: float, requests: int, leave: asyncio.Event) -> None:
        """Send so many requests, one per pace, over one kept connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        due = time.monotonic()
        try:
            for _ in range(requests):
                due = max(due + pace_s * random.uniform(0.7, 1.3), time.monotonic())
                await asyncio.sleep(due - time.monotonic())
                if leave.is_set():
                    return
                writer.write(self.request())
                await self.response(reader)
        finally:
            writer.close()

    async def response(self, reader: asyncio.StreamReader) -> None:
        """Read one response and throw it away."""
        head = await reader.readuntil(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                await reader.readexactly(int(value))

    def request(self) -> bytes:
        """A random request in HTTP/1.1."""
        dice = random.random()
        if dice < 0.70:
            sku = self.item() if random.random() > self.bad else "SKU-9999"
            return encode("GET", f"/items/{sku}")
        if dice < 0.88:
            return self.order()
        if dice < 0.97:
            user = random.choice([*USERS, "mallory"] if random.random() < self.bad else USERS)
            wrong = random.random() < self.bad
            password = "123456" if wrong else f"{user}-secret"
            return encode("POST", "/login", {"user": user, "password": password})
        if dice < 0.985:
            who = "" if random.random() < self.bad else "finance"
            rows = random.choice([2000, 5000, 400_000 if random.random() < self.bad else 5000])
            return encode("GET", f"/report?rows={rows}&for={who}")
        name = f"{random.randrange(16**8):08x}.png"
        return encode("PUT", f"/pictures/{name}", random.randbytes(random.randint(2000, 30000)))

    def order(self) -> bytes:
        """An order, sometimes broken."""
        number = f"A{random.randrange(10**6):06d}"
        body: dict[str, object] = {
            "number": number,
            "sku": self.item(),
            "quantity": random.choice([1, 1, 1, 2, 3]),
        }
        if random.random() >= self.bad:
            return encode("POST", "/orders", body)
        kind = random.randrange(5)
        if kind == 0:
            return encode("POST", "/orders", json.dumps(body)[:-9].encode())
        if kind == 1:
            del body["sku"]
        elif kind == 2:
            body["quantity"] = 0
        elif kind == 3:
            body["quantity"] = "two"
        else:
            body["number"] = "A000001"
        return encode("POST", "/orders", body)


def encode(method: str, path: str, body: object = b"") -> bytes:
    """The bytes of a request."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def places(plan: Path) -> int:
    """How many buyers the plan has room for; none while it is being written."""
    return int(plan.read_text() or 0)


async def stay(buyer: Buyer, place: int, plan: Path) -> None:
    """Visit again and again while the plan has room for this buyer."""
    while True:
        leave = asyncio.Event()
        if place >= places(plan):
            await asyncio.sleep(0.5)
            continue
        watcher = asyncio.create_task(watch(plan, place, leave))
        try:
            await buyer.visit(1.0, random.randint(30, 120), leave)
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.3)
        finally:
            watcher.cancel()
        await asyncio.sleep(random.uniform(0.2, 1.5))


async def watch(plan: Path, place: int, leave: asyncio.Event) -> None:
    """Set `leave` once the plan has no room for this place."""
    while not leave.is_set():
        await asyncio.sleep(0.5)
        if place >= places(plan):
            leave.set()


async def main(options: argparse.Namespace) -> None:
    """Run the buyers until the time is over."""
    buyer = Buyer(options.port, options.bad, options.crowding)
    plan = Path(options.plan)
    async with asyncio.timeout(options.seconds):
        await asyncio.gather(*(stay(buyer, place, plan) for place in range(options.most)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--plan", required=True, help="file that holds the number of buyers")
    parser.add_argument("--most", type=int, default=100)
    parser.add_argument("--bad", type=float, default=0.02, help="share of bad requests")
    parser.add_argument("--crowding", type=float, default=1.0, help="1: all items alike")
    parser.add_argument("--seconds", type=float, required=True)
    with contextlib.suppress(TimeoutError):
        asyncio.run(main(parser.parse_args()))
