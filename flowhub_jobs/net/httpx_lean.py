"""httpx without its command line, whose import takes a sixth of the time of a fetch's imports.

All modules of flowhub import httpx from here. `httpx.main` still works: it is imported when it is used.
"""

import sys
from importlib import import_module
from typing import Any

__all__ = ["httpx"]

_COMMAND_LINE = "httpx._main"


def _getattr(name: str) -> Any:
    """Import `httpx.main` at its first use (PEP 562)."""
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
    vars(httpx)["__getattr__"] = _getattr
