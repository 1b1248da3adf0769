"""`sensorium`, the command: `serve` by the shortest way, everything else through the CLI."""

import sys

from sensorium.core.loading import load

FAST = {
    "serve": "sensorium.cli.serve:main",
    "health": "sensorium.cli.health:main",
}
"""Commands that do without the command-line library, because their start is waited for."""


def main() -> None:
    """Run the command line."""
    command, *arguments = sys.argv[1:] or [""]
    if command in FAST:
        sys.exit(load(FAST[command])(arguments))
    sys.exit(load("sensorium.cli.main:main")(sys.argv[1:]))


if __name__ == "__main__":
    main()
