"""The Windows registry, where browsers there look for the manifests of native messaging hosts.

Written for Windows and not tested on it.
"""

import sys

from sensorium.core.errors import NotFoundError

if sys.platform == "win32":
    import winreg

    def register(place: str, name: str, manifest: str, *, system: bool) -> None:
        """Have the browser with that place find the manifest of `name`."""
        root = winreg.HKEY_LOCAL_MACHINE if system else winreg.HKEY_CURRENT_USER
        with winreg.CreateKey(root, f"{place}\\{name}") as key:
            winreg.SetValueEx(key, "", 0, winreg.REG_SZ, manifest)

    def forget(place: str, name: str, *, system: bool) -> None:
        """Have it find none.

        Raises:
            NotFoundError: it found none before.
        """
        root = winreg.HKEY_LOCAL_MACHINE if system else winreg.HKEY_CURRENT_USER
        try:
            winreg.DeleteKey(root, f"{place}\\{name}")
        except FileNotFoundError:
            raise NotFoundError("this browser has no manifest of ours") from None
