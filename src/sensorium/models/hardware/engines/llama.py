"""What the installed llama.cpp finds to run on."""

import re

import xllamacpp  # type: ignore[import-untyped, import-not-found, unused-ignore]

OTHERWISE = {"MTL": "Metal", "HIP": "ROCm"}
"""Other names of the same, from other times."""
_KIND = re.compile(r"[A-Za-z]+")


def builds() -> frozenset[str]:
    """The kinds of its devices: it lists `CUDA0` and `CUDA1`, and always `CPU`.

    It asks the drivers for their devices, and so may take as long as they do.
    """
    found = (_KIND.match(str(each.get("name", ""))) for each in xllamacpp.get_device_info())
    kinds = {match[0] for match in found if match}
    return frozenset({"CPU", *(OTHERWISE.get(kind, kind) for kind in kinds)})
