"""Looks for a secret in everything that an error shows, local variables included."""

import traceback
from pathlib import Path

_TESTS = str(Path(__file__).resolve().parent)
# click and typer run a command for a test, with what is typed in a local variable.
_RUNNER = "testing.py"


def printed(error: BaseException) -> str:
    """Return what error pages and debuggers print: messages, frames, local variables, causes.

    Frames of the tests hold the secret by design and are left out; what is below them counts.
    """
    text: list[str] = []
    report: traceback.TracebackException | None = traceback.TracebackException.from_exception(
        error, capture_locals=True
    )
    while report is not None:
        text += report.format_exception_only()
        # The values as they are: printing the mapping would escape printed bytes once more.
        text += [
            f"{frame.name} {name} {value}"
            for frame in report.stack
            if not frame.filename.startswith(_TESTS) or frame.name == "interrupted"
            if not frame.filename.endswith(_RUNNER)
            for name, value in {"": "", **(frame.locals or {})}.items()
        ]
        report = report.__cause__ or report.__context__
    return "\n".join(text)


def spellings(key: str) -> tuple[str, ...]:
    """Return every way in which a private key could be written down."""
    digits = key.removeprefix("0x").lower()
    raw = bytes.fromhex(digits)
    return (digits, digits.upper(), str(int(digits, 16)), repr(raw)[2:-1], str(list(raw))[1:-1])
