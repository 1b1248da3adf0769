"""The TypeScript client: its own tests, its package as one installs it, and its documents."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT, Server
from tests.typescript.conftest import CLIENT, KEY, run, succeed

BLOCK = re.compile(r"^```ts\n(.*?)^```$", re.DOTALL | re.MULTILINE)
STRICT = ("--strict", "--noUncheckedIndexedAccess", "--module", "nodenext", "--target", "es2022")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def installed(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder in which only the package was installed."""
    folder = tmp_path_factory.mktemp("installed")
    package = succeed(copy, "npm", "pack", "--silent", "--pack-destination", str(folder)).split()[
        -1
    ]
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    succeed(folder, "npm", "install", "--offline", "--no-audit", "--no-fund", f"./{package}")
    return folder


def test_its_types_are_those_of_the_operations(copy: Path) -> None:
    document = subprocess.run(
        [sys.executable, ROOT / "scripts" / "openapi.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        check=True,
    ).stdout
    done = subprocess.run(
        ["npm", "run", "generate"], cwd=copy, input=document, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    fresh, kept = (each / "src" / "schema.ts" for each in (copy, CLIENT))
    assert fresh.read_text() == kept.read_text(), "run: make typescript"


def test_its_own_tests(copy: Path, own: Server) -> None:
    succeed(copy, "npm", "run", "check")
    told = succeed(copy, "npm", "test", SENSORIUM_URL=own.url, SENSORIUM_KEY=KEY)
    assert re.search(r"^. pass [4-9]\d$", told, re.MULTILINE), told


def test_the_package_brings_nothing_else_and_calls_a_server(installed: Path, own: Server) -> None:
    assert [each.name for each in (installed / "node_modules").glob("[!.]*")] == [
        "sensorium-client"
    ]
    package = installed / "node_modules" / "sensorium-client"
    found = {each.name for each in package.iterdir()}
    assert found == {"LICENSE", "README.md", "dist", "package.json"}
    script = f"""
        import {{ Sensorium }} from "sensorium-client";
        const client = new Sensorium({{ url: "{own.url}", key: "{KEY}" }});
        console.log((await client.logs.cluster({{ lines: ["a 1", "a 2"] }})).clusters[0].count);
    """
    (installed / "script.mjs").write_text(script)
    assert succeed(installed, "node", "script.mjs").strip() == "2"


def test_what_is_right_compiles_and_what_is_wrong_does_not(installed: Path, copy: Path) -> None:
    begun = """import { Sensorium } from "sensorium-client";
        const client = new Sensorium({ url: "http://127.0.0.1:8484" });
        const request = { lines: ["a"] };
    """
    right = """
        const answer = await client.logs.cluster(request, { deadlineS: 1 });
        export const severity: "info" | string | undefined = answer.clusters[0]?.severity;
        export const forecast = async (values: (number | null)[]) =>
            (await client.call("metrics.forecast", { series: [{ values }] })).series[0];
        await client.system.health();
    """
    wrong = {
        "client.logs.cluster({ lines: 1 });": "TS2322",
        "client.logs.cluster();": "TS2554",
        "client.logs.gather(request);": "TS2339",
        "client.logs.watch({});": "TS2339",
        'client.call("logs.gather", {});': "TS2345",
        "(await client.logs.cluster(request)).nothing;": "TS2339",
        "for await (const each of client.logs.cluster(request)) each;": "TS2504",
        "client.logs.cluster(request, { deadline: 1 });": "TS2561",
    }
    (installed / "right.ts").write_text(begun + right)
    (installed / "wrong.ts").write_text("\n".join([begun.replace("\n", " "), *wrong]))
    compiler = copy / "node_modules" / "typescript" / "bin" / "tsc"
    compiling = ("node", str(compiler), *STRICT, "--noEmit")
    succeed(installed, *compiling, "right.ts")
    said = run(installed, *compiling, "wrong.ts").stdout
    found = re.findall(r"^wrong\.ts\((\d+),\d+\): error (TS\d+)", said, re.MULTILINE)
    assert found == [(str(line), code) for line, code in enumerate(wrong.values(), 2)], said


def test_the_examples_of_its_document_run(copy: Path, built: Path, own: Server) -> None:
    blocks = BLOCK.findall((CLIENT / "README.md").read_text("utf-8"))
    assert len(blocks) >= 5
    assert built.is_dir()
    names = [f"example{number}" for number, _ in enumerate(blocks)]
    for name, block in zip(names, blocks, strict=True):
        code = block.replace("http://127.0.0.1:8484", own.url).replace('"KEY"', f'"{KEY}"')
        (copy / f"{name}.ts").write_text(code)
    succeed(copy, "npx", "tsc", *STRICT, "--types", "node", *(f"{name}.ts" for name in names))
    for name in names:
        assert succeed(copy, "node", f"{name}.js").strip()
