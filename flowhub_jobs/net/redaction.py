"""Removes secrets and invisible characters from URLs and foreign texts, for messages, logs and rows. Pure."""

import hashlib
import re
from urllib.parse import unquote

_MAX_SHOWN = 200  # characters of an address in a message
_ANY_TEXT = re.compile(r"((?:[a-z][a-z0-9+.-]*:)?[/\\]*)([^/\\?#]*)([^?#]*)", re.IGNORECASE | re.ASCII)
_SHOWN_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(:[0-9]{0,5})?", re.ASCII)
_URL_IN_TEXT = re.compile(r"\b[a-z][a-z0-9+.-]{0,30}://[^\s\"<>]+", re.IGNORECASE | re.ASCII)
_QUERY_IN_TEXT = re.compile(r"\?[^\s\"<>?]*=[^\s\"<>]*")  # of a URL that was printed without its host
_CREDENTIALS_IN_TEXT = re.compile(r"(authorization(?:[\"']\s*,|[\"']?\s*[:=]))[^\r\n]*", re.IGNORECASE)
_BEARER_IN_TEXT = re.compile(r"\b(bearer)\s+\S+", re.IGNORECASE)
_HUB_TOKEN = re.compile(r"hf_[A-Za-z0-9]{16,}|(?<![A-Za-z0-9_-])hf_[\w-]+", re.ASCII)

_QUERY_PAIR = re.compile(r"([^=&;#]+)=([^&;#]+)")
_FORGOTTEN = re.compile(r"~[0-9a-f]{8}")
# What signs an address or signs in: AWS, Google, CloudFront and Azure (X-Amz-Signature, X-Goog-Credential, Key-Pair-Id,
# sig), and what sites call their tokens.
_SECRET_NAME = re.compile(
    r"(?:^|[-_.])(?:sig|sign|signature|token|key|apikey|secret|password|passwd|pwd|pass|auth|authorization|credentials?"
    r"|policy|jwt|hmac|session|ticket|key-pair-id)(?:$|[-_.])|(?:token|signature|password|secret|apikey)$",
    re.IGNORECASE,
)
_SIGNATURE_NAME = re.compile(r"(?:x-amz-|x-goog-)?(?:sig|sign|signature)", re.IGNORECASE)


def public_url(url: str) -> str:
    """Return the part of a URL that may be shown or logged: no user, query, fragment, token or invisible character.

    It accepts any text and never raises.
    """
    parts = _ANY_TEXT.match(url)
    if parts is None:  # it matches the empty text too
        return ""
    scheme, authority, path = parts.groups()
    if "@" in authority:  # up to the last one, as a password may hold "@" and "/" itself
        authority, slash, path = (authority + path).rpartition("@")[2].partition("/")
        path = slash + path
    if not _SHOWN_HOST.fullmatch(authority):
        # The text after the colon is no port. It may be a password, cut short by its own "/", "?" or "#".
        authority, path = f"{authority.partition(':')[0]}:…", ""
    return _visible(_HUB_TOKEN.sub("hf_…", scheme + authority + path))


def short_url(url: str) -> str:
    """Return `public_url`, cut to the length of a message."""
    text = public_url(url)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def without_secrets(url: str) -> str:
    """Return a URL with a short digest in place of each value of its query that looks like a secret.

    The result still identifies the file, and gives no access to it. A second call changes nothing.
    """
    beginning, mark, query = url.partition("?")
    return beginning + mark + _QUERY_PAIR.sub(_redacted_pair, query) if mark else url


def is_signed(url: str) -> bool:
    """Return whether the query of a URL signs it: such an address expires (AWS, Google, CloudFront, Azure)."""
    return any(_SIGNATURE_NAME.fullmatch(unquote(name)) for name, _ in _QUERY_PAIR.findall(url.partition("?")[2]))


def _redacted_pair(pair: re.Match[str]) -> str:
    name, value = pair.groups()
    if _FORGOTTEN.fullmatch(value) or not (_SECRET_NAME.search(unquote(name)) or _HUB_TOKEN.search(value)):
        return pair[0]
    return f"{name}=~{hashlib.sha256(value.encode()).hexdigest()[:8]}"


def scrub(text: str) -> str:
    """Return a foreign text without secrets: user and query of every URL, credentials, tokens of the Hub."""
    text = _CREDENTIALS_IN_TEXT.sub(r"\1 …", text)
    text = _BEARER_IN_TEXT.sub(r"\1 …", text)
    text = _URL_IN_TEXT.sub(_scrubbed_url, text)
    text = _QUERY_IN_TEXT.sub("?…", text)
    return _HUB_TOKEN.sub("hf_…", text)


def driver_message(error: Exception) -> str:
    """Return the message of a database's driver. SQLAlchemy adds the statement and a link to it."""
    return scrub(str(getattr(error, "orig", None) or error))


def _scrubbed_url(match: re.Match[str]) -> str:
    url = match[0]
    public = public_url(url)
    # Give back the quote or bracket that closes the address in the text.
    tail = url[len(url.rstrip("'`)].,;")) :]
    return f"{public}?…{tail}" if "?" in url or "#" in url else public


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):04X}}}" for c in text)
