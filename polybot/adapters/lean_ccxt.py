"""Load ccxt without the hundred exchanges that nobody asked.

``import ccxt.async_support`` runs every exchange's module, first the synchronous and then the
asynchronous one: 3.8 s of processor time (ccxt 4.5.90), in every flow run, between a window's
start and its first request. Here both packages become shells around the same files: their errors
are there, and an exchange is imported by the first look at it, together 0.8 s. Where ccxt is laid
out otherwise, it is imported whole.
"""

import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any


def load_ccxt() -> None:
    """Put ``ccxt`` and ``ccxt.async_support`` in place; nothing where ccxt is loaded already."""
    if "ccxt" in sys.modules:
        return
    try:
        _load_lean()
    except (ImportError, AttributeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "ccxt"]:
            del sys.modules[name]
        import_module("ccxt.async_support")


def _load_lean() -> None:
    package = _shell("ccxt", None)
    errors = import_module("ccxt.base.errors")
    for name in errors.__all__:
        setattr(package, name, getattr(errors, name))
    # The asynchronous base class asks the package for the synchronous one.
    vars(package)["Exchange"] = import_module("ccxt.base.exchange").Exchange
    exchanges = _shell("ccxt.async_support", package.__path__)
    vars(package)["async_support"] = exchanges
    import_module("ccxt.async_support.base.exchange")

    def look_up(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            found = getattr(import_module(f"ccxt.async_support.{name}"), name)
        except ModuleNotFoundError as error:
            raise AttributeError(f"ccxt has no exchange {name}") from error
        # The import has bound the module of the same name; the next look must find the class.
        vars(exchanges)[name] = found
        return found

    vars(exchanges)["__getattr__"] = look_up


def _shell(name: str, path: Any) -> ModuleType:
    """Register a package whose ``__init__`` is not run."""
    spec = PathFinder.find_spec(name, path)
    if spec is None:
        raise ImportError(name)
    module = module_from_spec(spec)
    sys.modules[name] = module
    return module
