"""The shop's neighbours: stock and payments (one line of JSON per request), and a mail relay."""

import argparse
import asyncio
import contextlib
import json
import random

ACCEPTED = 0.93
STOCKED = 0.97


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request line until the caller hangs up, or is gone already."""
    with contextlib.suppress(ConnectionError):
        await answer_lines(reader, writer)
    writer.close()


async def answer_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One answer per request line."""
    while line := await reader.readline():
        try:
            request = json.loads(line)
        except ValueError:
            break
        await asyncio.sleep(max(0.004, random.gauss(0.016, 0.003)))
        if request["ask"] == "stock":
            reply: dict[str, object] = {
                "left": random.randint(1, 60) if random.random() < STOCKED else 0
            }
        elif random.random() < ACCEPTED:
            reply = {"status": "accepted", "reference": f"PAY-{random.randrange(10**8):08d}"}
        else:
            reason = random.choice(["insufficient funds", "card expired", "suspected fraud"])
            reply = {"status": "declined", "reason": reason}
        writer.write(json.dumps(reply).encode() + b"\n")
        await writer.drain()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take mail as SMTP wants it, and throw it away."""
    writer.write(b"220 relay.invalid\r\n")
    in_text = False
    while line := await reader.readline():
        word = line[:4].upper().rstrip()
        if in_text:
            in_text = line != b".\r\n"
            reply = b"" if in_text else b"250 taken\r\n"
        elif word == b"DATA":
            in_text = True
            reply = b"354 go on\r\n"
        else:
            reply = b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n"
        writer.write(reply)
        await writer.drain()
        if word == b"QUIT":
            break
    writer.close()


async def main(port: int, mail: int | None) -> None:
    """Serve on the loopback address until killed."""
    servers = [await asyncio.start_server(answer, "127.0.0.1", port)]
    if mail is not None:
        servers.append(await asyncio.start_server(relay, "127.0.0.1", mail))
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mail", type=int)
    options = parser.parse_args()
    asyncio.run(main(options.port, options.mail))
