"""Deterministic randomness, addressed by name: the same parts always give the same stream."""

import random
from hashlib import blake2b


def digest(*parts: object, size: int = 32) -> bytes:
    """Return ``size`` bytes (1-64) that depend on every part and on nothing else."""
    text = "\x1f".join(str(part) for part in parts)
    return blake2b(text.encode(), digest_size=size).digest()


def stream(*parts: object) -> random.Random:
    """Return a random stream that depends on every part and on nothing else."""
    return random.Random(int.from_bytes(digest(*parts, size=8)))  # noqa: S311 - prices, not secrets
