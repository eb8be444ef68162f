"""The fields of one order, and the signer of the published vectors, for tests of signing."""

from typing import Any

from polybot.adapters.polymarket.amounts import OrderAmounts
from polybot.adapters.polymarket.contracts import V1_NORMAL
from polybot.adapters.polymarket.order_fields import OrderFields, SignatureType
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.domain.orders import Side, TimeInForce
from tests.order_cases import TEST_ADDRESS, TEST_KEY, Secret

V1_TOKEN = "25070934348813416902477876984955073880416401960631253331845590271167412497744"
V2_TOKEN = "663574927012476832975694178961957910328055987427402067619466963999000625152"
ORDER_SIGNER = OrderSigner(Secret(TEST_KEY))


def build_fields(**changes: Any) -> OrderFields:
    values: dict[str, Any] = {
        "domain": V1_NORMAL,
        "salt": 1,
        "maker": TEST_ADDRESS,
        "signer": TEST_ADDRESS,
        "token_id": "1234",
        "amounts": OrderAmounts(maker=5_000_000, taker=10_000_000),
        "side": Side.BUY,
        "signature_type": SignatureType.EOA,
        "timestamp_ms": 1_795_348_800_000,
        "time_in_force": TimeInForce.GTC,
    }
    return OrderFields(**{**values, **changes})
