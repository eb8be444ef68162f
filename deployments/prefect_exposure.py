"""Print what Prefect's profiles, files and variables come to: who could reach its server.

``python -m deployments.prefect_exposure``, in a process of its own: Prefect takes a second to
import, and the commands of ``polybot`` do without it.
"""

import json
import sys

from prefect.settings import get_current_settings


def main() -> int:
    """Print one JSON object; no secret is in it, only whether there is one."""
    now = get_current_settings()
    document = {
        "api_url": now.api.url,
        "host": now.server.api.host,
        "has_key": now.api.key is not None or now.api.auth_string is not None,
        "has_password": now.server.api.auth_string is not None,
    }
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
