"""Every command and code block of the documents runs, or says why it cannot here.

A block may be preceded by `<!-- not run here: REASON -->`; it is parsed all the same.
"""

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import ROOT, Server

DOCUMENTS = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples/extension/README.md"),
    *sorted(ROOT.glob("docs/**/*.md")),
]
BLOCK = re.compile(
    r"(?:<!-- not run here: (?P<reason>.+?) -->\n)?^```(?P<kind>\w*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
BY_OTHERS = {
    "make demo": "tests/cli",
    "make test": "this very run",
    "make check": "CI, before this run",
    "make soak": "a drill of minutes",
    "make bench": "minutes, on a quiet machine",
}
"""Commands that are not run here, and what runs them."""
ADDRESS = "127.0.0.1:8484"
SHOWN = ("text", "")


@dataclass
class Block:
    """A fenced block of a document."""

    where: str
    kind: str
    code: str
    reason: str | None


def blocks() -> list[Block]:
    """Every block of every document."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text()
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            where = f"{document.relative_to(ROOT)}:{line}"
            found.append(Block(where, match["kind"], match["code"], match["reason"]))
    return [block for block in found if "words" not in block.code]  # tests/test_tutorial.py


BLOCKS = blocks()
ANY_PORTS = {"SENSORIUM_PORT": "0", "SENSORIUM_GRPC_PORT": "0"}
"""Whatever else runs on this machine may have the usual ones."""


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind == "sh"], ids=lambda b: b.where)
def test_shell_blocks(block: Block, server: Server, tmp_path: Path) -> None:
    code = block.code.replace(ADDRESS, server.url.removeprefix("http://"))
    assert subprocess.run(["bash", "-n"], input=code, text=True, check=False).returncode == 0
    lines = [line for line in code.splitlines() if line.split(" #")[0].strip() not in BY_OTHERS]
    if block.reason is not None or not any(lines):
        return
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "SENSORIUM_DATA_DIR": str(tmp_path),
            **ANY_PORTS,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"code":' not in done.stdout, done.stdout


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind == "python"], ids=lambda b: b.where)
def test_python_blocks(block: Block, server: Server) -> None:
    code = block.code.replace(ADDRESS, server.url.removeprefix("http://"))
    ast.parse(code)
    if "import" in code:  # a part of a program shows a shape, and is only parsed
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_every_block_says_what_it_is() -> None:
    odd = [b.where for b in BLOCKS if b.kind not in ("sh", "python", "json", "toml", "ts", *SHOWN)]
    assert not odd


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document}: {target}"
