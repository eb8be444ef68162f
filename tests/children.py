"""Actions in a child process, for limits that would bind the tests themselves."""

import multiprocessing
from collections.abc import Callable

_FORK = multiprocessing.get_context("fork")


def outcome_in_child(action: Callable[[], object]) -> str:
    """Run an action in a child process of its own limits; return the error it ended with."""
    receiver, sender = _FORK.Pipe(duplex=False)

    def run() -> None:
        try:
            action()
            sender.send("no error")
        except BaseException as error:
            sender.send(f"{type(error).__name__}: {error}")

    child = _FORK.Process(target=run)
    child.start()
    said = receiver.recv() if receiver.poll(60) else "no answer"
    child.join(10)
    return str(said)
