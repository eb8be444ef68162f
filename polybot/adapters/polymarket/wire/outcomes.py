"""Outcomes and their tokens, matched by label and never by place."""

from polybot.adapters.polymarket.wire.strict import quote, text_list, token_id
from polybot.domain.markets import Outcome, OutcomeTokenId
from polybot.errors import DataError


def outcomes_of(text: object, *, reason: str) -> tuple[Outcome, Outcome]:
    """Return the outcomes in the venue's order; they must be exactly Up and Down."""
    labels = text_list(text, "outcomes", reason=reason)
    if sorted(labels) != sorted(Outcome):
        raise DataError(
            f"outcomes must be Up and Down, were {quote(', '.join(labels))}", reason=reason
        )
    return Outcome(labels[0]), Outcome(labels[1])


def tokens_by_label(
    labels: list[str], ids: list[str], *, reason: str
) -> dict[Outcome, OutcomeTokenId]:
    """Return each outcome's token; there must be exactly one for Up and one for Down."""
    if sorted(labels) != sorted(Outcome) or len(ids) != 2 or ids[0] == ids[1]:
        raise DataError(
            f"market must have one token for Up and one for Down, had {len(ids)} for "
            f"{quote(', '.join(labels))}",
            reason=reason,
        )
    return {
        Outcome(label): token_id(text, reason=reason)
        for label, text in zip(labels, ids, strict=True)
    }
