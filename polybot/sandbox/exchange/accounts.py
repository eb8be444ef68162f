"""Who holds what at the venue: pUSD, outcome tokens, allowances, all in base units.

Nothing is created or lost by trading: cash of all accounts, fees taken, money held by unsettled
trades and collateral behind outcome tokens always add up to what was deposited.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from polybot.sandbox.exchange.rules import EXCHANGES
from polybot.sandbox.seeds import digest

UNLIMITED: Final = (1 << 256) - 1
EOA, PROXY, SAFE, DEPOSIT_WALLET = range(4)


@dataclass(slots=True, eq=False)
class Account:
    """One wallet: what it holds and who may trade for it. Addresses are lower-case."""

    owner: str
    """Address of the key that signs."""
    funder: str
    """Address that holds the assets; the owner itself for type 0."""
    signature_type: int
    cash: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    allowances: dict[str, int] = field(
        default_factory=lambda: {domain.contract: UNLIMITED for domain in EXCHANGES}
    )
    """What each exchange contract may move of the account's pUSD."""
    unapproved: set[str] = field(default_factory=set)
    """Contracts that may not move the account's outcome tokens; trading there needs it to sell."""
    session_keys: set[str] = field(default_factory=set)
    """Other keys that may trade for a deposit wallet, and do nothing else."""
    is_house: bool = False

    def is_traded_by(self, address: str) -> bool:
        """Whether a key may trade for the account."""
        return address == self.owner or address in self.session_keys


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money and tokens of one account on their way through a trade."""

    account: Account
    cash: int = 0
    token_id: str = ""
    size: int = 0


class Accounts:
    """Every wallet, the fees taken, and the collateral behind all outcome tokens."""

    def __init__(self, seed: int) -> None:
        """Open the market makers' account, which may owe."""
        self.house = Account(
            owner="0x" + digest("house", seed, size=20).hex(),
            funder="0x" + digest("house-wallet", seed, size=20).hex(),
            signature_type=PROXY,
            is_house=True,
        )
        self.fees = 0
        self.collateral = 0
        """pUSD behind pairs of outcome tokens that exist."""
        self.deposits = 0
        """Everything that ever came in, less what left."""
        self._by_funder: dict[str, Account] = {}

    def open(self, *, owner: str, funder: str | None, signature_type: int, cash: int) -> Account:
        """Return the account of a funder, opened with a deposit unless it exists.

        Raises:
            ValueError: The funder belongs to another key or type.
        """
        owner = owner.lower()
        funder = (funder or owner).lower()
        if not EOA <= signature_type <= DEPOSIT_WALLET:
            raise ValueError(f"signature type must be 0 to 3, was {signature_type}")
        if (funder == owner) is not (signature_type == EOA):
            raise ValueError("the funder is the key's own address for type 0, and only then")
        known = self._by_funder.get(funder)
        if known is not None:
            if (known.owner, known.signature_type) != (owner, signature_type):
                raise ValueError(f"funder {funder} belongs to another key or type")
            return known
        account = Account(owner=owner, funder=funder, signature_type=signature_type)
        self._by_funder[funder] = account
        self.deposit(account, cash)
        return account

    def of_funder(self, funder: str) -> Account | None:
        """Return the account that an address holds."""
        return self._by_funder.get(funder.lower())

    def of_owner(self, owner: str, signature_type: int | None = None) -> list[Account]:
        """Return the accounts that a key trades for, in the order in which they were opened."""
        return [
            account
            for account in self._by_funder.values()
            if account.is_traded_by(owner.lower())
            and signature_type in (None, account.signature_type)
        ]

    def __iter__(self) -> Iterator[Account]:
        """Yield every account but the market makers'."""
        yield from self._by_funder.values()

    def deposit(self, account: Account, cash: int) -> None:
        """Bring money in, or take it out: a change that the venue did not cause.

        Raises:
            ValueError: More would leave than is there.
        """
        if account.cash + cash < 0:
            raise ValueError(f"only {account.cash} base units can leave, not {-cash}")
        account.cash += cash
        self.deposits += cash

    def give(self, transfer: Transfer) -> None:
        """Take what an account gives into a trade.

        Raises:
            ValueError: It does not have it; the caller has checked, so this is a defect.
        """
        account = transfer.account
        account.cash -= transfer.cash
        if transfer.size:
            account.tokens[transfer.token_id] -= transfer.size
        if not account.is_house and (account.cash < 0 or account.tokens[transfer.token_id] < 0):
            raise ValueError(f"account {account.funder} gave more than it had: {transfer}")

    def receive(self, transfer: Transfer) -> None:
        """Hand an account what it gets out of a trade."""
        transfer.account.cash += transfer.cash
        if transfer.size:
            transfer.account.tokens[transfer.token_id] += transfer.size

    def cash_in_accounts(self) -> int:
        """Return the cash of all accounts, the market makers' included."""
        return self.house.cash + sum(account.cash for account in self._by_funder.values())

    def tokens_in_accounts(self) -> Counter[str]:
        """Return how many of each outcome token all accounts hold."""
        total: Counter[str] = Counter()
        for account in (self.house, *self._by_funder.values()):
            total.update(account.tokens)
        return total
