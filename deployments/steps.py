"""Steps that prefect.yaml calls while it deploys."""

import shlex
import sys


def name_interpreter() -> dict[str, str]:
    """Return the interpreter that deploys, quoted for a command line."""
    return {"python": shlex.quote(sys.executable)}
