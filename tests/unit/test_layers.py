"""What the import contracts cannot see: programs in strings, and names that are looked up."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "polybot").rglob("*.py"))
_IMPORT = re.compile(r"(^|[\n;])\s*(from|import)\s+prefect\b")


def texts_of(path: Path) -> list[str]:
    """Return every string of a module but its documentation."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_program_in_a_string_imports_prefect(path: Path) -> None:
    """A child process that does is an import all the same; such programs are in deployments."""
    assert [text for text in texts_of(path) if _IMPORT.search(text)] == []


def test_looked_up_names_are_those_of_deployments() -> None:
    """The command line looks two packages up by name; it never names Prefect."""
    looked_up = [
        text
        for path in MODULES
        for text in texts_of(path)
        if re.fullmatch(r"(prefect|flows|tasks)(\.[a-z_]+)+", text)
    ]
    assert looked_up == []


def test_the_search_finds_what_it_is_for(tmp_path: Path) -> None:
    """Also behind other lines, and not in documentation."""
    module = tmp_path / "module.py"
    module.write_text('"""import prefect"""\nTEXT = "import json\\nfrom prefect import flow"\n')
    assert [text for text in texts_of(module) if _IMPORT.search(text)] == [
        "import json\nfrom prefect import flow"
    ]
