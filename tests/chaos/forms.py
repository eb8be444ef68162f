"""How much chaos: a short form for every test run, one for CI, and a long one.

``CHAOS_FORM=ci make chaos`` (the default of that target) or ``CHAOS_FORM=long make chaos``.
"""

import os
from dataclasses import dataclass


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


FORMS = {
    form.name: form
    for form in (
        Form("short", kills=80, per_point=0, cases=84, limit_s=240),
        Form("ci", kills=2_000, per_point=50, cases=1_000, limit_s=1_200),
        Form("long", kills=50_000, per_point=50, cases=10_000, limit_s=8 * 3_600),
    )
}


def chosen_form() -> Form:
    """Return the form that the environment names."""
    return FORMS[os.environ.get("CHAOS_FORM", "short")]
