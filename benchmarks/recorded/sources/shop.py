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
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.recorded.sources.shop_core import PaymentDeclinedError, Shop
from benchmarks.recorded.sources.shop_log import configure

USERS = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"]
LOCK_AFTER = 4

log_http = logging.getLogger("shop.http")
log_orders = logging.getLogger("shop.orders")
log_stock = logging.getLogger("shop.stock")
log_auth = logging.getLogger("shop.auth")
log_store = logging.getLogger("shop.store")
log_main = logging.getLogger("shop.main")


shop: Shop


async def get_item(request: Request) -> Response:
    """Price of one item and how many are left."""
    sku = request.path_params["sku"]
    item = shop.find_item(sku)
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
        log_orders.info(
            "Order %s waits: %d of %s wanted, %d left", number, quantity, sku, stock["left"]
        )
        return JSONResponse({"status": "waiting"}, 202)
    try:
        await shop.pay(number, body.get("card", ""))
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
    log_auth.warning(
        "Wrong password for user %s from %s (attempt %d)", user, source, shop.failed_logins[user]
    )
    if shop.failed_logins[user] >= LOCK_AFTER:
        shop.locked[user] = time.time() + 20
        shop.failed_logins.pop(user)
        log_auth.error("Account %s locked for %d s after %d wrong passwords", user, 20, LOCK_AFTER)
    return JSONResponse({"error": "wrong"}, 401)


async def get_report(request: Request) -> Response:
    """Count over a product of the tables: slow on purpose, and in a thread."""
    rows = int(request.query_params.get("rows", "20000"))
    began = time.perf_counter()
    total = await asyncio.to_thread(shop.count_rows, rows)
    took_ms = (time.perf_counter() - began) * 1000
    if took_ms > 100:
        log_store.warning("Slow query: report over %d rows took %.0f ms", rows, took_ms)
    return JSONResponse({"total": total, "average": total // len(request.query_params["for"])})


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
    return JSONResponse(
        {
            "served": shop.served,
            "failed": shop.failed,
            "connections": connections,
            "latencies_ms": latencies,
        }
    )


async def answer_late(request: Request, _error: Exception) -> Response:
    """The backend took too long."""
    log_stock.error(
        "Backend did not answer within %d ms for %s %s",
        shop.options.backend_timeout_ms,
        request.method,
        request.url.path,
    )
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
            log_http.warning(
                "Slow request %s %s took %.0f ms", scope["method"], scope["path"], took_ms
            )


@contextlib.asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Start the background tasks and end them."""
    log_main.info(
        "Shop %s started, cache %s, backend timeout %d ms",
        shop.options.version,
        "on" if shop.options.cache else "off",
        shop.options.backend_timeout_ms,
    )
    tasks = [
        asyncio.create_task(task)
        for task in (shop.send_mails(), shop.send_mails(), shop.refresh_cache())
    ]
    yield
    for task in tasks:
        task.cancel()
    log_main.info(
        "Shop stopped after %d requests, %d mails unsent", shop.served, shop.mails.qsize()
    )


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
    application = Measured(Starlette(routes=ROUTES, lifespan=lifespan, exception_handlers=handlers))
    config = uvicorn.Config(
        application,
        host="127.0.0.1",
        port=options.port,
        log_config=None,
        access_log=options.access,
        http="h11",
        loop="asyncio",
    )
    shop.server = uvicorn.Server(config)
    shop.server.run()
    sys.exit(0)


if __name__ == "__main__":
    main()
