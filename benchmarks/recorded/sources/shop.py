"""A small web shop that logs what it does: the recorded Python service.

It is a real program under real load, not a generator of log lines: every line is written because
the thing it tells of happened (a socket refused, a row that was there already, a disk that was
full). Run as `python -m benchmarks.recorded.sources.shop --port 9301 --backend 9302 --folder DIR`.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import logging
import random
import smtplib
import sqlite3
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.recorded.sources.shop_log import configure

SKUS = [f"SKU-{n:04d}" for n in range(1, 241)]
USERS = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"]
LOCK_AFTER = 4

log_http = logging.getLogger("shop.http")
log_orders = logging.getLogger("shop.orders")
log_stock = logging.getLogger("shop.stock")
log_auth = logging.getLogger("shop.auth")
log_cache = logging.getLogger("shop.cache")
log_store = logging.getLogger("shop.store")
log_mail = logging.getLogger("shop.mail")
log_main = logging.getLogger("shop.main")


class PaymentDeclinedError(Exception):
    """The payment service said no."""


class Shop:
    """State of one shop: its store, its cache, its line to the backend, its figures."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder = Path(options.folder)
        self.database = sqlite3.connect(
            self.folder / "shop.db", timeout=0.05, check_same_thread=False
        )
        self.cache: dict[str, dict[str, Any]] = {}
        self.pages: dict[str, bytes] = {}
        self.failed_logins: dict[str, int] = {}
        self.locked: dict[str, float] = {}
        self.held: list[bytearray] = []
        self.mails: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self.served = 0
        self.failed = 0
        self.latencies_ms: deque[float] = deque(maxlen=20_000)
        self.server: uvicorn.Server | None = None

    def prepare(self) -> None:
        """Create the tables and fill the catalogue once."""
        with self.database:
            self.database.execute("PRAGMA journal_mode=WAL")
            self.database.execute(
                "CREATE TABLE IF NOT EXISTS items (sku TEXT PRIMARY KEY, price INTEGER NOT NULL)"
            )
            self.database.execute(
                "CREATE TABLE IF NOT EXISTS orders (number TEXT PRIMARY KEY, sku TEXT,"
                " quantity INTEGER CHECK (quantity > 0), at REAL)"
            )
            self.database.executemany(
                "INSERT OR IGNORE INTO items VALUES (?, ?)",
                [(sku, random.randint(150, 9900)) for sku in SKUS],
            )
        log_store.info("Opened store with %d items", len(SKUS))

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """One request to the backend, within the configured time."""
        async with asyncio.timeout(self.options.backend_timeout_ms / 1000):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.options.backend)
            try:
                writer.write(json.dumps(question).encode() + b"\n")
                line = await reader.readline()
            finally:
                writer.close()
        answer: dict[str, Any] = json.loads(line)
        return answer


shop: Shop


def find_item(sku: str) -> dict[str, Any] | None:
    """The item from the cache, or else from the store."""
    if shop.options.cache and sku in shop.cache:
        log_cache.debug("Cache hit for %s", sku)
        return shop.cache[sku]
    began = time.perf_counter()
    row = shop.database.execute("SELECT sku, price FROM items WHERE sku = ?", (sku,)).fetchone()
    if row is None:
        return None
    item = {"sku": row[0], "price": row[1]}
    if shop.options.cache:
        shop.cache[sku] = item
        shop.pages[sku] = render(sku, item["price"])
    took_ms = (time.perf_counter() - began) * 1000
    log_store.info("Loaded %s from store in %.2f ms", sku, took_ms)
    return item


def render(sku: str, price: int) -> bytes:
    """The item's page, kept beside it: what gives the memory figure its real ups and downs."""
    return f"<li>{sku} at {price / 100:.2f}</li>\n".encode() * (5000 + price // 2)


async def get_item(request: Request) -> Response:
    """Price of one item and how many are left."""
    sku = request.path_params["sku"]
    item = find_item(sku)
    if item is None:
        log_http.warning("No such item: %s", sku)
        return JSONResponse({"error": "no such item"}, 404)
    stock = await shop.ask({"ask": "stock", "sku": sku})
    if stock["left"] == 0:
        log_stock.warning("%s is out of stock", sku)
    return JSONResponse({**item, **stock})


async def post_order(request: Request) -> Response:
    """Check stock, take the money, write the order."""
    try:
        body = json.loads(await request.body())
    except json.JSONDecodeError as error:
        log_http.warning("Unreadable body from %s: %s", request.client.host, error)  # type: ignore[union-attr]
        return JSONResponse({"error": "not JSON"}, 400)
    number, sku, quantity = body["number"], body["sku"], body.get("quantity", 1)
    stock = await shop.ask({"ask": "stock", "sku": sku})
    if stock["left"] < quantity:
        log_orders.info("Order %s waits: %d of %s wanted, %d left", number, quantity, sku,
                        stock["left"])
        return JSONResponse({"status": "waiting"}, 202)
    try:
        await pay(number, body.get("card", ""))
        with shop.database:
            shop.database.execute(
                "INSERT INTO orders VALUES (?, ?, ?, ?)", (number, sku, quantity, time.time())
            )
    except PaymentDeclinedError as error:
        log_orders.warning("Payment for order %s declined: %s", number, error)
        return JSONResponse({"error": str(error)}, 402)
    except sqlite3.IntegrityError as error:
        log_orders.error("Could not save order %s: %s", number, error)
        return JSONResponse({"error": "conflict"}, 409)
    log_orders.info("Order %s placed: %d x %s", number, quantity, sku)
    shop.mails.put_nowait((1, number))
    return JSONResponse({"status": "placed"}, 201)


async def pay(number: str, card: str) -> None:
    """Take the money, or raise PaymentDeclinedError."""
    reply = await shop.ask({"ask": "pay", "order": number, "card": card})
    if reply["status"] != "accepted":
        raise PaymentDeclinedError(reply["reason"])
    log_orders.info("Payment %s accepted for order %s", reply["reference"], number)


async def post_login(request: Request) -> Response:
    """Check a password; lock the account after too many wrong ones."""
    body = await request.json()
    user, source = body["user"], request.client.host if request.client else "?"
    if shop.locked.get(user, 0) > time.time():
        log_auth.error("Login refused for %s from %s: account is locked", user, source)
        return JSONResponse({"error": "locked"}, 423)
    if user not in USERS:
        log_auth.warning("Login failed for unknown user %s from %s", user, source)
        return JSONResponse({"error": "wrong"}, 401)
    digest = await asyncio.to_thread(
        hashlib.pbkdf2_hmac, "sha256", body["password"].encode(), user.encode(), 4000
    )
    if body["password"] == f"{user}-secret":
        shop.failed_logins.pop(user, None)
        log_auth.info("User %s logged in from %s, session %s", user, source, digest.hex()[:16])
        return JSONResponse({"token": digest.hex()})
    shop.failed_logins[user] = shop.failed_logins.get(user, 0) + 1
    log_auth.warning("Wrong password for user %s from %s (attempt %d)", user, source,
                     shop.failed_logins[user])
    if shop.failed_logins[user] >= LOCK_AFTER:
        shop.locked[user] = time.time() + 20
        shop.failed_logins.pop(user)
        log_auth.error("Account %s locked for %d s after %d wrong passwords", user, 20, LOCK_AFTER)
    return JSONResponse({"error": "wrong"}, 401)


async def get_report(request: Request) -> Response:
    """Count over a product of the tables: slow on purpose, and in a thread."""
    rows = int(request.query_params.get("rows", "20000"))
    began = time.perf_counter()
    total = await asyncio.to_thread(count_rows, rows)
    took_ms = (time.perf_counter() - began) * 1000
    if took_ms > 100:
        log_store.warning("Slow query: report over %d rows took %.0f ms", rows, took_ms)
    return JSONResponse({"total": total, "average": total // len(request.query_params["for"])})


def count_rows(rows: int) -> int:
    """Sum a long recursive table on a connection of its own."""
    with contextlib.closing(sqlite3.connect(shop.folder / "shop.db")) as database:
        query = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " SELECT sum(i * i % 97) FROM n"
        )
        return int(database.execute(query, (rows,)).fetchone()[0])


async def put_picture(request: Request) -> Response:
    """Keep an uploaded picture on the small disk."""
    name = request.path_params["name"]
    body = await request.body()
    path = Path(shop.options.pictures) / name
    try:
        path.write_bytes(body)
    except OSError as error:
        log_store.error("Could not write picture %s: %s", name, error)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return JSONResponse({"error": "no space"}, 507)
    log_store.info("Stored picture %s (%d bytes)", name, len(body))
    return JSONResponse({"stored": len(body)}, 201)


async def post_import(request: Request) -> Response:
    """Hold a whole catalogue in memory until it is dropped."""
    size_mib = int(request.query_params["mib"])
    if size_mib == 0:
        log_main.info("Import finished, %d blocks released", len(shop.held))
        shop.held.clear()
    else:
        shop.held.append(bytearray(b"x" * (size_mib << 20)))
        log_main.info("Import started, %d MiB held", size_mib)
    return JSONResponse({"held": len(shop.held)})


async def get_figures(_request: Request) -> Response:
    """Counters since the start and latencies since the last look."""
    latencies = list(shop.latencies_ms)
    shop.latencies_ms.clear()
    assert shop.server is not None
    connections = len(shop.server.server_state.connections)
    return JSONResponse({"served": shop.served, "failed": shop.failed,
                         "connections": connections, "latencies_ms": latencies})


async def send_mails() -> None:
    """Send a mail per order, three tries each."""
    while True:
        attempt, number = await shop.mails.get()
        try:
            await asyncio.to_thread(send_mail, number)
            log_mail.info("Mail for order %s sent", number)
        except OSError as error:
            if attempt < 3:
                log_mail.warning("Mail for order %s failed (attempt %d of 3): %s", number,
                                 attempt, error)
                asyncio.get_running_loop().call_later(
                    attempt, shop.mails.put_nowait, (attempt + 1, number)
                )
            else:
                log_mail.error("Giving up on mail for order %s: %s", number, error)


def send_mail(number: str) -> None:
    """Hand one mail to the configured relay."""
    with smtplib.SMTP("127.0.0.1", shop.options.mail, timeout=1) as relay:
        relay.sendmail("shop@example.invalid", ["buyer@example.invalid"], f"Subject: {number}")


async def refresh_cache() -> None:
    """Drop a part of the cache now and then, and read the price list."""
    while True:
        await asyncio.sleep(shop.options.refresh_s)
        if shop.options.cache:
            dropped = random.sample(sorted(shop.cache), len(shop.cache) // 2)
            for sku in dropped:
                del shop.cache[sku], shop.pages[sku]
            log_cache.info("Cache refreshed: %d dropped, %d kept", len(dropped), len(shop.cache))
        try:
            prices = json.loads((shop.folder / "prices.json").read_text())
            log_main.info("Read price list version %d with %d entries", prices["version"],
                          len(prices["prices"]))
        except (OSError, ValueError, KeyError):
            log_main.exception("Price list could not be read")


async def answer_late(request: Request, _error: Exception) -> Response:
    """The backend took too long."""
    log_stock.error("Backend did not answer within %d ms for %s %s",
                    shop.options.backend_timeout_ms, request.method, request.url.path)
    return JSONResponse({"error": "late"}, 504)


async def answer_unreachable(_request: Request, error: Exception) -> Response:
    """The backend refused or hung up."""
    log_stock.error("Backend unreachable: %s", error)
    return JSONResponse({"error": "backend"}, 503)


class Measured:
    """ASGI wrapper: time each call, count it, and log the ones that break."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] == "/figures":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def watch(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception:
            log_http.exception("Unhandled error in %s %s", scope["method"], scope["path"])
        took_ms = (time.perf_counter() - began) * 1000
        shop.served += 1
        shop.failed += status >= 500
        shop.latencies_ms.append(took_ms)
        if took_ms > shop.options.slow_ms:
            log_http.warning("Slow request %s %s took %.0f ms", scope["method"], scope["path"],
                             took_ms)


@contextlib.asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Start the background tasks and end them."""
    log_main.info("Shop %s started, cache %s, backend timeout %d ms", shop.options.version,
                  "on" if shop.options.cache else "off", shop.options.backend_timeout_ms)
    tasks = [asyncio.create_task(task) for task in (send_mails(), send_mails(), refresh_cache())]
    yield
    for task in tasks:
        task.cancel()
    log_main.info("Shop stopped after %d requests, %d mails unsent", shop.served,
                  shop.mails.qsize())


ROUTES = [
    Route("/items/{sku}", get_item),
    Route("/orders", post_order, methods=["POST"]),
    Route("/login", post_login, methods=["POST"]),
    Route("/report", get_report),
    Route("/pictures/{name}", put_picture, methods=["PUT"]),
    Route("/import", post_import, methods=["POST"]),
    Route("/figures", get_figures),
]


def main() -> None:
    """Read the options and serve until SIGTERM."""
    global shop
    parser = argparse.ArgumentParser()
    for name in ("port", "backend", "mail"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--pictures", required=True)
    parser.add_argument("--backend-timeout-ms", type=int, default=1500)
    parser.add_argument("--slow-ms", type=int, default=250)
    parser.add_argument("--refresh-s", type=float, default=20)
    parser.add_argument("--cache", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--access", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--log-format", choices=["text", "json"], default="text")
    parser.add_argument("--log-level", default="INFO")
    parser.add_argument("--version", default="1.4.2")
    options = parser.parse_args()
    configure(options.log_format, options.log_level)
    shop = Shop(options)
    shop.prepare()
    handlers = {TimeoutError: answer_late, ConnectionError: answer_unreachable}
    application = Measured(
        Starlette(routes=ROUTES, lifespan=lifespan, exception_handlers=handlers)  # type: ignore[arg-type]
    )
    config = uvicorn.Config(application, host="127.0.0.1", port=options.port, log_config=None,
                            access_log=options.access, http="h11", loop="asyncio")
    shop.server = uvicorn.Server(config)
    shop.server.run()
    sys.exit(0)


if __name__ == "__main__":
    main()
