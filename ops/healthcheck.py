"""Ends with 0 while the service in this container is ready; what a container's probe runs."""

import http.client
import os
import sys

# Plain http.client, because urllib would ask a proxy that the environment names.
connection = http.client.HTTPConnection(
    "127.0.0.1", int(os.environ.get("ASSISTANT_PORT") or 8090), timeout=4
)
try:
    connection.request("GET", "/health/ready")
    sys.exit(connection.getresponse().status != 200)
except (OSError, http.client.HTTPException) as error:
    sys.exit(f"not reachable: {type(error).__name__}")
