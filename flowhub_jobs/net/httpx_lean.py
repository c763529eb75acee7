"""httpx without its command line, which it imports where it finds the packages for it: a sixth of a fetch's imports.

All of flowhub takes httpx from here. Who asks for `httpx.main` still gets it: it is imported then.
"""

import sys
from importlib import import_module
from typing import Any

__all__ = ["httpx"]

_COMMAND_LINE = "httpx._main"


def _asked_for(name: str) -> Any:
    """Return an attribute that httpx imports on first use (PEP 562)."""
    if name != "main":
        raise AttributeError(f"module 'httpx' has no attribute {name!r}")
    main = import_module(_COMMAND_LINE).main
    vars(httpx)["main"] = main
    return main


if "httpx" in sys.modules:
    import httpx
else:
    sys.modules[_COMMAND_LINE] = None  # type: ignore[assignment]  # None: its import fails, and httpx does without
    try:
        import httpx
    finally:
        sys.modules.pop(_COMMAND_LINE, None)
    vars(httpx).pop("main", None)
    vars(httpx)["__getattr__"] = _asked_for
