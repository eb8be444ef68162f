"""How much chaos: a short form for every test run, one for CI, and a long one.

``make chaos`` runs the CI form, ``make chaos CHAOS_FORM=long`` the long one. ``CHAOS_MINUTES=30``
ends each part of a form after so long, whatever it had still to do: a slice. ``CHAOS_SEED``
begins elsewhere, so that another slice is another one.
"""

import os
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Form:
    """Least numbers of one form."""

    name: str
    kills: int
    per_point: int
    """Kills at every named point; 0: as they come."""
    cases: int
    """Fault cases that every submission policy meets."""
    limit_s: float
    """When to give up, on a machine that does other things as well."""
    copy_kills_per_point: int = 0
    """Kills of the copy loop at every named point of its own; 0: one round of it."""
    is_slice: bool = False
    """Whether it ends by the clock, and less than all of it will do."""


FORMS = {
    form.name: form
    for form in (
        Form("short", kills=80, per_point=0, cases=84, limit_s=240),
        Form("ci", kills=2_000, per_point=50, cases=1_000, limit_s=1_800, copy_kills_per_point=12),
        Form(
            "long",
            kills=50_000,
            per_point=50,
            cases=10_000,
            limit_s=8 * 3_600,
            copy_kills_per_point=50,
        ),
    )
}


def chosen_form(name: str = "") -> Form:
    """Return the form that is named here or by the environment, cut to the minutes given."""
    form = FORMS[name or os.environ.get("CHAOS_FORM", "short")]
    seconds = chosen_seconds()
    return form if seconds is None else replace(form, limit_s=seconds, is_slice=True)


def chosen_seconds() -> float | None:
    """Return how long each part of a form may take [s]; ``None``: as long as it takes."""
    minutes = os.environ.get("CHAOS_MINUTES", "")
    return float(minutes) * 60 if minutes else None


def chosen_seed() -> int:
    """Return where to begin."""
    return int(os.environ.get("CHAOS_SEED", "") or 1)
