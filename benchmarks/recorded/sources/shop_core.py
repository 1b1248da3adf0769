"""The shop's state and work: its store, cache, backend, mails."""

import argparse
import asyncio
import contextlib
import json
import logging
import random
import smtplib
import sqlite3
import time
from collections import deque
from pathlib import Path
from typing import Any

import uvicorn

SKUS = [f"SKU-{n:04d}" for n in range(1, 241)]

log_orders = logging.getLogger("shop.orders")
log_cache = logging.getLogger("shop.cache")
log_store = logging.getLogger("shop.store")
log_mail = logging.getLogger("shop.mail")
log_main = logging.getLogger("shop.main")


def render(sku: str, price: int) -> bytes:
    """The item's page, kept beside it: what gives the memory figure its real ups and downs."""
    return f"<li>{sku} at {price / 100:.2f}</li>\n".encode() * (5000 + price // 2)


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

    def find_item(self, sku: str) -> dict[str, Any] | None:
        """The item from the cache, or else from the store."""
        if self.options.cache and sku in self.cache:
            log_cache.debug("Cache hit for %s", sku)
            return self.cache[sku]
        began = time.perf_counter()
        row = self.database.execute("SELECT sku, price FROM items WHERE sku = ?", (sku,)).fetchone()
        if row is None:
            return None
        item = {"sku": row[0], "price": row[1]}
        if self.options.cache:
            self.cache[sku] = item
            self.pages[sku] = render(sku, item["price"])
        took_ms = (time.perf_counter() - began) * 1000
        log_store.info("Loaded %s from store in %.2f ms", sku, took_ms)
        return item

    async def pay(self, number: str, card: str) -> None:
        """Take the money, or raise PaymentDeclinedError."""
        reply = await self.ask({"ask": "pay", "order": number, "card": card})
        if reply["status"] != "accepted":
            raise PaymentDeclinedError(reply["reason"])
        log_orders.info("Payment %s accepted for order %s", reply["reference"], number)

    def count_rows(self, rows: int) -> int:
        """Sum a long recursive table on a connection of its own."""
        with contextlib.closing(sqlite3.connect(self.folder / "shop.db")) as database:
            query = (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                " SELECT sum(i * i % 97) FROM n"
            )
            return int(database.execute(query, (rows,)).fetchone()[0])

    async def send_mails(self) -> None:
        """Send a mail per order, three tries each."""
        while True:
            attempt, number = await self.mails.get()
            try:
                await asyncio.to_thread(self.send_mail, number)
                log_mail.info("Mail for order %s sent", number)
            except OSError as error:
                if attempt < 3:
                    log_mail.warning(
                        "Mail for order %s failed (attempt %d of 3): %s", number, attempt, error
                    )
                    asyncio.get_running_loop().call_later(
                        attempt, self.mails.put_nowait, (attempt + 1, number)
                    )
                else:
                    log_mail.error("Giving up on mail for order %s: %s", number, error)

    def send_mail(self, number: str) -> None:
        """Hand one mail to the configured relay."""
        with smtplib.SMTP("127.0.0.1", self.options.mail, timeout=1) as relay:
            relay.sendmail("shop@example.invalid", ["buyer@example.invalid"], f"Subject: {number}")

    async def refresh_cache(self) -> None:
        """Drop a part of the cache now and then, and read the price list."""
        while True:
            await asyncio.sleep(self.options.refresh_s)
            if self.options.cache:
                dropped = random.sample(sorted(self.cache), len(self.cache) // 2)
                for sku in dropped:
                    del self.cache[sku], self.pages[sku]
                log_cache.info(
                    "Cache refreshed: %d dropped, %d kept", len(dropped), len(self.cache)
                )
            try:
                prices = json.loads((self.folder / "prices.json").read_text())
                log_main.info(
                    "Read price list version %d with %d entries",
                    prices["version"],
                    len(prices["prices"]),
                )
            except (OSError, ValueError, KeyError):
                log_main.exception("Price list could not be read")
