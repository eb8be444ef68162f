"""The operator's commands: ``polybot status``, ``polybot halt``, ….

Commands talk to the ledger directly and need neither Prefect nor the venue, except ``doctor``,
``demo`` and ``up``. Nothing heavy is imported before a command needs it.
"""

from polybot.cli.app import app, main

__all__ = ["app", "main"]
