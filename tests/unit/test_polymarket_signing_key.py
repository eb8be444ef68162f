"""The key stays inside: no text, no copy and no traceback of a signer shows it."""

import copy
import pickle
import traceback
from typing import Any

import coincurve
import pytest

from polybot.adapters.polymarket.signing import OrderSigner
from polybot.errors import ConfigurationError
from tests.order_cases import TEST_ADDRESS, TEST_KEY, Secret
from tests.signing_steps import ORDER_SIGNER, build_fields

# A key whose digits can be found anywhere, in any of the forms that a leak could have.
MARKED_KEY = "c0ffee" * 10 + "beef"


def leaks(text: str) -> bool:
    """Whether a text holds the marked key as digits, as a number, or as printed bytes."""
    raw = bytes.fromhex(MARKED_KEY)
    number = str(int(MARKED_KEY, 16))
    forms = (MARKED_KEY[:16], number[:16], str(raw)[2:14], str(list(raw))[1:20])
    return any(form in text.lower() for form in forms)


def test_leak_detector_bites() -> None:
    """Each form in which a key could show is found."""
    raw = bytes.fromhex(MARKED_KEY)
    for form in (MARKED_KEY, MARKED_KEY.upper(), repr(raw), str(int(MARKED_KEY, 16)), [*raw]):
        assert leaks(f"… {form} …")
    key = coincurve.PrivateKey(raw)
    assert leaks(repr(vars(key)))


def test_signer_shows_its_address_alone() -> None:
    """However it is printed, formatted or looked into."""
    signer = OrderSigner(Secret(MARKED_KEY))
    shown = [repr(signer), str(signer), f"{signer}", f"{signer!r:>200}", repr([signer])]
    shown += [repr(getattr(signer, name, None)) for name in dir(signer)]
    assert signer.address in shown[0]
    assert not any(leaks(text) for text in shown)
    with pytest.raises(TypeError):
        vars(signer)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_signer_cannot_be_pickled(protocol: int) -> None:
    """A task runner that stores arguments cannot store a key."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(OrderSigner(Secret(MARKED_KEY)), protocol)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_signer_cannot_be_copied(duplicate: Any) -> None:
    """One key, one holder."""
    with pytest.raises(TypeError, match="copied"):
        duplicate(OrderSigner(Secret(MARKED_KEY)))


def test_traceback_with_locals_shows_no_key() -> None:
    """An error in the middle of signing, printed with every frame's variables."""
    signer = OrderSigner(Secret(MARKED_KEY))
    with pytest.raises(ValueError, match="32 bytes") as caught:
        signer.sign_digest(b"not a digest")
    printed = printed_with_locals(caught.value)
    assert "sign_recoverable" in printed
    assert "not a digest" in printed, "locals were captured"
    assert not leaks(printed)


@pytest.mark.parametrize(
    "key",
    [
        MARKED_KEY[:-1],
        MARKED_KEY + "0",
        " " + MARKED_KEY,
        MARKED_KEY + "\n",
        "0X" + MARKED_KEY,
        "g" + MARKED_KEY[1:],
        "0" * 64,
        "f" * 64,
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        "",
    ],
)
def test_malformed_key_is_refused_without_being_repeated(key: str) -> None:
    """63 or 65 digits, spaces, zero, the curve's order and above."""
    with pytest.raises(ConfigurationError, match="private key must be") as caught:
        OrderSigner(Secret(key))
    assert not leaks(printed_with_locals(caught.value))


def test_failure_inside_the_library_drops_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt in the library's constructor, where the key is a local variable."""

    def interrupted(secret: bytes) -> None:
        raise KeyboardInterrupt(len(secret))

    monkeypatch.setattr(coincurve, "PrivateKey", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        OrderSigner(Secret(MARKED_KEY))
    assert not leaks(printed_with_locals(caught.value))


@pytest.mark.parametrize("prefix", ["", "0x"])
def test_key_is_taken_with_and_without_prefix(prefix: str) -> None:
    """Wallets export both."""
    assert OrderSigner(Secret(prefix + TEST_KEY[2:])).address == TEST_ADDRESS


def test_signed_order_prints_no_signature() -> None:
    """A signed order in a log is an order that anybody may send."""
    signed = ORDER_SIGNER.sign(build_fields())
    assert signed.signature[2:40] not in repr(signed)


def printed_with_locals(error: BaseException) -> str:
    # Frames of this file hold the key by design; what matters is everything below.
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in report.stack if frame.filename != __file__]
    library = [frame for frame in report.stack if frame.name == "interrupted"]
    # The values as they are: printing the mapping would escape printed bytes once more.
    text = [
        f"{frame.name} {name} {value}"
        for frame in (*frames, *library)
        for name, value in (frame.locals or {}).items()
    ]
    return "\n".join((*text, *report.format_exception_only(), repr(error.__context__)))
