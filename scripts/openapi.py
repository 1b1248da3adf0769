"""The OpenAPI document of the built-in operations, as JSON, without a running server."""

import sys

from sensorium.app import MODULES
from sensorium.core.registry import Registry
from sensorium.transports.http.openapi import document

if __name__ == "__main__":
    sys.stdout.buffer.write(document(Registry(MODULES)))
