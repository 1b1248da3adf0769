"""The licence of each package that Sensorium is installed with; fails for one that does not fit.

python scripts/licences.py requirements/base.lock
"""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

FITTING = re.compile(
    r"Apache|BSD|MIT|ISC|PSF|Python Software Foundation|Zlib|Unlicense|0BSD|CC0|HPND"
    r"|MPL.2\.0|Mozilla Public License 2\.0",
    re.IGNORECASE,
)


def licence_of(package: Distribution) -> str:
    """What a package says of its licence, in one line."""
    metadata = package.metadata
    said = [
        metadata.get("License-Expression") or "",
        *(c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier") or [] if "License" in c),
        (metadata.get("License") or "").strip().partition("\n")[0],
    ]
    return next((each for each in said if each), "")


def main(lock: Path) -> int:
    """Print a line for each package in a lock file; returns how many do not fit."""
    wrong = 0
    for name in re.findall(r"^([\w.-]+)==", lock.read_text(), re.MULTILINE):
        try:
            licence = licence_of(distribution(name))
        except PackageNotFoundError:
            continue  # for another platform or Python
        fits = FITTING.search(licence) is not None
        wrong += not fits
        print(f"{'ok   ' if fits else 'WRONG'} {name:28} {licence or 'says nothing'}")
    return wrong


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
