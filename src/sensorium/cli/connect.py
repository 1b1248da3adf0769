"""Where a command computes: in this process, or on the server that `--server` names.

    def cluster(file: Path, *, target: Target = Target(), output: Output = Output()) -> None:
        with target.client() as client, progress("clustering") as report:
            answer = client.with_options(on_progress=report).logs.cluster(lines=lines)

gives the command `--server`, `--api-key`, `--timeout` and `--json`. Progress is reported in
process only.
"""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from sensorium.client import Sensorium


@Parameter(name="*")
@dataclass(frozen=True)
class Target:
    """Which Sensorium to call."""

    server: Annotated[
        str,
        Parameter(
            env_var="SENSORIUM_SERVER",
            show_default=False,
            help="Call the server at this URL; without one, compute in this process.",
        ),
    ] = ""
    api_key: Annotated[
        str,
        Parameter(
            env_var="SENSORIUM_API_KEY",
            show_default=False,
            help="The key that the server wants.",
        ),
    ] = ""

    timeout: Annotated[
        float | None,
        Parameter(help="Give the call up after so many seconds.", show_default=False),
    ] = None

    def client(self) -> Sensorium:
        """A client of it; close it, or use it as a context manager."""
        return Sensorium(self.server or None, api_key=self.api_key or None, timeout_s=self.timeout)
