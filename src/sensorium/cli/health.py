"""`sensorium health`: is the server on this machine live? For a container's health check."""

import os
import ssl
import sys
from http.client import HTTPConnection, HTTPSConnection

from sensorium.app import load_settings
from sensorium.core.errors import SensoriumError

TIMEOUT_S = 2.0


def main(arguments: list[str]) -> int:
    """Ask the server that the settings describe; returns the exit status."""
    del arguments
    try:
        http = load_settings().http
        host = "127.0.0.1" if http.host in ("0.0.0.0", "::", "") else http.host
        connection = HTTPConnection(host, http.port, timeout=TIMEOUT_S)
        if http.tls_certificate:
            # It asks this very machine whether it lives; whose certificate that is matters not.
            trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            connection = HTTPSConnection(host, http.port, timeout=TIMEOUT_S, context=trusting)
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, SensoriumError) as error:
        sys.stderr.write(f"sensorium: not healthy: {error}{os.linesep}")
        return 1
    return 0 if status == 200 else 1
