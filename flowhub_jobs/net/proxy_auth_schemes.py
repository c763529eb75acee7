"""Reads the sign-ins that a proxy offers in its 407 (RFC 9110, §11.7.1). flowhub supports only Basic. Pure."""

import re
from collections.abc import Sequence

UNSUPPORTED_HINT = (
    "Run a proxy on this machine that signs in to that one, such as px or cntlm, and name it in HTTPS_PROXY or "
    "HTTP_PROXY (http://127.0.0.1:PORT){for_the_worker_too}, then try again."
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
# A scheme alone, or followed by a space and its parameters. Followed by "=", the word is itself a parameter.
_SCHEME = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,30})(?:\s+(?![\s=]).*)?", re.DOTALL)
_SHOWN_MAX = 4


def unsupported_schemes(challenges: Sequence[str]) -> str:
    """Return the schemes that these values of Proxy-Authenticate offer, as "NTLM or Negotiate"; "" if Basic is one.

    Also "" where there is no challenge.
    """
    parts = [part.strip() for value in challenges for part in _QUOTED.sub("", value).split(",")]
    schemes = list(dict.fromkeys(match[1] for part in parts if (match := _SCHEME.fullmatch(part))))
    if any(scheme.lower() == "basic" for scheme in schemes):
        return ""
    return " or ".join(schemes[:_SHOWN_MAX])
