"""`sensorium`, the command: `serve` by the shortest way, everything else through the CLI."""

import sys

from sensorium.core.loading import load


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"]:
        sys.exit(load("sensorium.cli.serve:main")(arguments[1:]))
    sys.exit(load("sensorium.cli.main:main")(arguments))


if __name__ == "__main__":
    main()
