"""`sensorium version`."""

import platform

from sensorium.cli.render import Output
from sensorium.core.version import VERSION


def version(*, output: Output = Output()) -> None:  # noqa: B008 - frozen
    """Print which version this is, on what."""
    if output.as_json:
        about = {"sensorium": VERSION, "python": platform.python_version()}
        output.value({**about, "platform": platform.platform()})
    else:
        output.line(f"sensorium {VERSION}")
