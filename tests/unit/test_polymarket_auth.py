"""L1 and L2 headers equal to both official clients and the published vectors; secrets hidden."""

import base64
import copy
import json
import pickle
from random import SystemRandom
from typing import Any

import pytest
from eth_account import Account
from polymarket._internal.hmac import build_hmac_signature as unified_hmac
from polymarket._internal.l1_auth import sign_api_key_auth
from py_clob_client_v2.clob_types import ApiCreds, RequestArgs
from py_clob_client_v2.headers.headers import create_level_1_headers, create_level_2_headers
from py_clob_client_v2.signer import Signer

from polybot.adapters.polymarket.auth import ApiCredentials, login_headers
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.errors import ConfigurationError
from tests.order_cases import TEST_ADDRESS, TEST_KEY, Secret
from tests.shared_data import require

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
KEY_ID = "00000000-0000-0000-0000-000000000001"
POST_BODY = (
    b'{"deferExec":false,"order":{"salt":1},"orderType":"FAK",'
    b'"owner":"00000000-0000-0000-0000-000000000001"}'
)
JUNK_KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


@pytest.mark.parametrize(
    ("method", "path", "body", "signature"),
    [
        ("GET", "/data/orders", b"", "ZVk5-yto2tT6UCwPLzMtxHZLo6XCCSa6ska-OsnbFwc="),
        ("POST", "/order", POST_BODY, "dBkaOZSVDi_qZ7KokH5V1I8QcKyITbJtL-0xEPwjxXQ="),
    ],
)
def test_known_requests_have_their_signature(
    method: str, path: str, body: bytes, signature: str
) -> None:
    """Measured with both official clients."""
    credentials = build_credentials()
    assert credentials.signature(1_795_348_800, method, path, body) == signature
    assert credentials.headers(
        TEST_ADDRESS, timestamp_s=1_795_348_800, method=method, path=path, body=body
    ) == {
        "POLY_ADDRESS": TEST_ADDRESS,
        "POLY_SIGNATURE": signature,
        "POLY_TIMESTAMP": "1795348800",
        "POLY_API_KEY": KEY_ID,
        "POLY_PASSPHRASE": "pass",
    }


def test_published_vectors_agree() -> None:
    """Of the official clients' own tests."""
    data = json.loads(require("vectors", "polymarket_sdk_vectors.json").read_text())
    for vector in data["hmac_l2"]:
        credentials = build_credentials(secret=vector["secret"])
        assert vector["signature"] == credentials.signature(
            int(vector["timestamp"]), vector["method"], vector["path"], vector["body"].encode()
        )
    signer = OrderSigner(Secret(JUNK_KEY))
    for vector in data["clob_auth_l1"]:
        headers = login_headers(
            signer,
            timestamp_s=vector["timestamp"],
            nonce=vector["nonce"],
            chain_id=vector["chain_id"],
        )
        assert headers["POLY_SIGNATURE"] == vector["signature"]


def test_random_requests_equal_both_clients() -> None:
    """A thousand requests, with secrets of any length."""
    random = SystemRandom()
    oracle = Signer(TEST_KEY, 137)
    for _ in range(1_000):
        secret = base64.urlsafe_b64encode(random.randbytes(random.randrange(1, 80))).decode()
        method, path = random.choice((("GET", "/data/trades"), ("POST", "/order")))
        # No apostrophe: one client rewrites it, and no request of ours has one.
        body = json.dumps({"n": random.getrandbits(60)}) if method == "POST" else None
        timestamp_s = random.randrange(1_700_000_000, 1_900_000_000)
        headers = build_credentials(secret=secret).headers(
            TEST_ADDRESS,
            timestamp_s=timestamp_s,
            method=method,
            path=path,
            body=(body or "").encode(),
        )
        assert headers["POLY_SIGNATURE"] == unified_hmac(
            secret=secret, timestamp=timestamp_s, method=method, path=path, body=body
        )
        request = RequestArgs(method=method, request_path=path, serialized_body=body)
        credentials = ApiCreds(KEY_ID, secret, "pass")
        assert headers == {
            name: str(value)
            for name, value in create_level_2_headers(
                oracle, credentials, request, timestamp=timestamp_s
            ).items()
        }


def test_random_logins_equal_both_clients() -> None:
    """Two hundred logins over any time and nonce."""
    random = SystemRandom()
    signer = OrderSigner(Secret(TEST_KEY))
    unified, older = Account.from_key(TEST_KEY), Signer(TEST_KEY, 137)
    for _ in range(200):
        timestamp_s, nonce = random.randrange(1, 1 << 40), random.getrandbits(64)
        headers = login_headers(signer, timestamp_s=timestamp_s, nonce=nonce)
        assert headers == create_level_1_headers(older, nonce, timestamp_s)
        signed = sign_api_key_auth(unified, chain_id=137, timestamp=timestamp_s, nonce=nonce)
        assert headers["POLY_SIGNATURE"] == signed.signature


@pytest.mark.parametrize("secret", [SECRET.rstrip("="), SECRET])
def test_secret_is_taken_with_and_without_padding(secret: str) -> None:
    """Both are in use."""
    expected = build_credentials().signature(1, "GET", "/")
    assert build_credentials(secret=secret).signature(1, "GET", "/") == expected


@pytest.mark.parametrize(
    "change",
    [
        {"secret": ""},
        {"secret": "marker!!"},
        {"secret": "markér"},
        {"secret": "marke"},
        {"passphrase": ""},
        {"passphrase": "marker\r\nX: 1"},
        {"passphrase": "marker 1"},
        {"key_id": ""},
        {"key_id": "a\r\nX: 1"},
        {"key_id": 'a"b'},
    ],
)
def test_malformed_credentials_are_refused_without_being_repeated(change: dict[str, str]) -> None:
    """Nothing that could end a header's line, and no echo of a secret."""
    with pytest.raises(ConfigurationError) as caught:
        build_credentials(**change)
    assert "mark" not in str(caught.value)
    assert caught.value.__context__ is None


def test_credentials_show_their_id_alone() -> None:
    """However they are printed or looked into."""
    raw = base64.urlsafe_b64encode(b"marked-secret-of-credentials").decode()
    credentials = build_credentials(secret=raw, passphrase="marked-passphrase")
    shown = [repr(credentials), str(credentials), f"{credentials}"]
    shown += [repr(getattr(credentials, name, None)) for name in dir(credentials)]
    assert KEY_ID in shown[0]
    assert not any("marked" in text or raw[:8] in text for text in shown)
    with pytest.raises(TypeError):
        vars(credentials)


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_credentials_cannot_be_pickled_or_copied(duplicate: Any) -> None:
    """A task runner that stores arguments cannot store them."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        duplicate(build_credentials())


def build_credentials(
    *, key_id: str = KEY_ID, secret: str = SECRET, passphrase: str = "pass"
) -> ApiCredentials:
    return ApiCredentials(key_id=key_id, secret=Secret(secret), passphrase=Secret(passphrase))
