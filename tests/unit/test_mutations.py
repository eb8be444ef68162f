"""The tests bite: each small change to the money path makes one of them fail.

A mutant is a copy of a module's source with one text replaced, run in this process. Its own tests
run against it, and the modules that import it are loaded again on top of it, so that nothing on
disk changes. The original must pass everything that a mutant is judged by.
"""

import asyncio
import importlib
import inspect
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import Phase, settings

from polybot import accounting, execution, limits, look_ups, market_orders, risk
from polybot.adapters import paper
from polybot.domain import matching
from tests import execution_desk, paper_desk, risk_steps
from tests.unit import (
    test_accounting,
    test_execution,
    test_execution_reconciling,
    test_matching,
    test_paper,
    test_paper_resting,
    test_risk,
    test_risk_orders,
)
from tests.unit.mutants import MUTANTS, Mutant

# In the order in which they import each other, with the tests that judge each; what tests call a
# module through is loaded again before them.
JUDGES: dict[ModuleType, tuple[ModuleType, ...]] = {
    matching: (test_matching,),
    limits: (risk_steps, test_risk, test_risk_orders),
    accounting: (test_accounting,),
    market_orders: (risk_steps, test_risk, test_risk_orders),
    risk: (risk_steps, test_risk, test_risk_orders),
    look_ups: (execution_desk, test_execution_reconciling, paper_desk, test_paper_resting),
    execution: (execution_desk, test_execution, test_execution_reconciling),
    paper: (paper_desk, test_paper, test_paper_resting),
}
# A mutant is judged by whether it fails, not by the smallest example that makes it fail.
settings.register_profile(
    "mutants",
    max_examples=20,
    phases=[Phase.explicit, Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
)


def name_of(mutant: Mutant) -> str:
    module, old, new = mutant
    return f"{module.__name__.rpartition('.')[2]}: {old.strip()[:50]} -> {new.strip()[:30]}"


@contextmanager
def judges_of(mutated: ModuleType, source: str) -> Iterator[list[ModuleType]]:
    """Put a mutant in its module's place and return copies of its tests that know only it."""
    modules = list(JUDGES)
    before = settings.get_current_profile_name()
    settings.load_profile("mutants")
    with pytest.MonkeyPatch.context() as patch:
        for module in modules[modules.index(mutated) :]:
            fresh = load(module, source if module is mutated else inspect.getsource(module), patch)
            package, _, name = module.__name__.rpartition(".")
            patch.setattr(importlib.import_module(package), name, fresh)
        try:
            yield [load(judge, inspect.getsource(judge), patch) for judge in JUDGES[mutated]]
        finally:
            settings.load_profile(before)


def load(module: ModuleType, source: str, patch: pytest.MonkeyPatch) -> ModuleType:
    """Return a fresh copy of a module, made from a source text, known by the original's name."""
    fresh = ModuleType(module.__name__)
    fresh.__file__ = module.__file__
    patch.setitem(sys.modules, module.__name__, fresh)
    exec(compile(source, str(module.__file__), "exec"), fresh.__dict__)
    return fresh


def cases_of(judges: list[ModuleType]) -> Iterator[Callable[[], None]]:
    """Return some modules' tests, one call for each set of parameters, quick ones first."""
    functions = [
        item for judge in judges for name, item in vars(judge).items() if name.startswith("test_")
    ]
    for function in sorted(functions, key=lambda item: hasattr(item, "hypothesis")):
        marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
        for arguments in expand(marks):
            yield partial(run, function, arguments)


def expand(marks: list[pytest.Mark]) -> Iterator[dict[str, Any]]:
    if not marks:
        yield {}
        return
    (mark,) = marks
    names, rows = mark.args
    for row in rows:
        yield {names: row} if isinstance(names, str) else dict(zip(names, row, strict=True))


def run(function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if "tmp_path" in inspect.signature(function).parameters:
            arguments = {**arguments, "tmp_path": Path(folder)}
        result = function(**arguments)
        if inspect.iscoroutine(result):
            asyncio.run(asyncio.wait_for(result, timeout=5))


def first_failure(judges: list[ModuleType]) -> str | None:
    for case in cases_of(judges):
        try:
            case()
        except (Exception, pytest.fail.Exception) as problem:
            return repr(problem)
    return None


@pytest.mark.parametrize("module", JUDGES, ids=lambda module: module.__name__)
def test_original_passes_what_its_mutants_are_judged_by(module: ModuleType) -> None:
    """A copy of the unchanged source survives, so a mutant fails for its mutation alone."""
    with judges_of(module, inspect.getsource(module)) as judges:
        assert first_failure(judges) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=name_of)
def test_mutant_is_caught(mutant: Mutant) -> None:
    """The text must be there exactly once, or the mutant would be the original."""
    module, old, new = mutant
    source = inspect.getsource(module)
    assert source.count(old) == 1
    with judges_of(module, source.replace(old, new)) as judges:
        assert first_failure(judges) is not None
