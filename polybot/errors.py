"""The error tree, cut by one question: may this be tried again?

    PolybotError
    ├── TransientError          try again: the cause may pass by itself
    │   └── RateLimitedError    try again, but not before ``retry_after`` [s]
    ├── PermanentError          do not try again: the same call fails the same way
    │   └── ConfigurationError  a person must change a setting first
    └── DataError               do not decide: what arrived is missing, stale or impossible

Held, skipped, refused, rejected and unknown are return values, not errors.
"""


class PolybotError(Exception):
    """Base of every error this project raises on purpose."""


class TransientError(PolybotError):
    """Report a failure that may pass by itself: time-outs, dropped connections, 5xx answers."""


class RateLimitedError(TransientError):
    """Report that the other side asked us to slow down."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        """Keep how long to wait.

        Args:
            message: What was limited, by whom.
            retry_after: How long to wait before the next try [s], already clamped to 0-60.
        """
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(PolybotError):
    """Report a failure that another try cannot mend."""


class ConfigurationError(PermanentError):
    """Report settings or an environment that a person must change; the message says how."""


class DataError(PolybotError):
    """Report data that no decision may be based on; the message names the thing and the value.

    ``reason`` is a short stable slug (``candles-stale``, ``book-empty``, …) by which such
    events are counted, alerted at most once an hour, and recorded as the skip's reason.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        """Keep the reason slug beside the sentence for people."""
        super().__init__(message)
        self.reason = reason
