"""httpx without its command line, which it imports where it finds the packages for it: a sixth of a fetch's imports.

All of flowhub takes httpx from here. Who calls `httpx.main` still gets it: it is imported then.
"""

import sys
from importlib import import_module

__all__ = ["httpx"]

_COMMAND_LINE = "httpx._main"
_ours = "httpx" not in sys.modules
if _ours:
    sys.modules[_COMMAND_LINE] = None  # type: ignore[assignment]  # None: its import fails, and httpx does without
import httpx  # noqa: E402


def _main() -> None:
    import_module(_COMMAND_LINE).main()


if _ours:
    sys.modules.pop(_COMMAND_LINE, None)
    httpx.main = _main  # type: ignore[assignment]  # it says Command, which is of click
