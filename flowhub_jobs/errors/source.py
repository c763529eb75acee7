"""Errors of the network and of sources: exit status 5."""

from typing import ClassVar

from flowhub_jobs.errors.base import FlowhubError


class SourceError(FlowhubError):
    """A fault of the network or of the origin.

    `about_range`: the request was for a part of the file; the host may answer a request in another form.
    `about_coding`: it may answer one with another Accept-Encoding.
    """

    code = "source"
    exit_status = 5
    retryable = True
    about_range = False
    about_coding = False
    # Whether it can go away without the user: then a job gives up on it only after `give_up_after`, not ten tries.
    transient: ClassVar[bool] = True
    default_hint = "A worker tries again by itself; `flowhub status` shows when."


class CatalogUnreachable(SourceError):
    code = "catalog_unreachable"
    default_hint = "Check the network and FLOWHUB_CATALOG; unset it to use the catalog that flowhub ships."


class CatalogSourceMalformed(SourceError):
    """The same fault as CatalogMalformed, but the catalog came from a URL: its exit status is the source's."""

    code = "catalog_source_malformed"
    retryable = False
    default_hint = (
        "`flowhub catalog validate URL` lists every fault, for its publisher. Or set FLOWHUB_CATALOG to another."
    )


class NetworkDown(SourceError):
    """No name resolved or no host reached: refused, unreachable, DNS."""

    code = "network"


class ProxyUnreachable(NetworkDown):
    """The proxy that an environment variable names refuses, is silent, or cannot connect to the host."""

    code = "proxy_unreachable"
    default_hint = "Check that the proxy runs, or correct the variable{for_the_worker_too}."


class ProxyUnusable(SourceError):
    """The value of a proxy variable is no address of a proxy that flowhub can speak to."""

    code = "proxy_unusable"
    retryable = False
    default_hint = "Correct the variable or unset it{for_the_worker_too}, then try again."
    from_host = False


class ProxySignIn(SourceError):
    """The proxy requires a user and a password, refuses the given ones, or takes other sign-ins than Basic (407)."""

    code = "proxy_sign_in"
    retryable = False
    from_host = False
    default_hint = (
        "Write the user and password into the variable (http://USER:PASSWORD@HOST:PORT, percent-encoded)"
        "{for_the_worker_too}, then try again."
    )


class ConnectionLost(SourceError):
    """The connection ended before the answer did."""

    code = "connection_lost"


class HeadersTimeout(SourceError):
    code = "headers_timeout"


class Stalled(SourceError):
    """No byte came for the set time."""

    code = "stalled"


class TooSlow(SourceError):
    """Bytes came, but fewer than the set floor."""

    code = "too_slow"


class ServerBusy(SourceError):
    """408, 425, 429 or 5xx. `wait_s` is what the server asked for, where it did."""

    code = "server_busy"

    def __init__(
        self,
        text: str,
        *,
        wait_s: float | None = None,
        hint: str | None = None,
        host: str | None = None,
        path: str | None = None,
    ) -> None:
        super().__init__(text, hint=hint, host=host, path=path)
        self.wait_s = wait_s


class WrongRange(SourceError):
    """The answer is not the requested range. `coded`: it came in a content coding, and can be decoded if it is
    requested without Range.
    """

    code = "wrong_range"
    coded = False
    transient = False


class AnswerMalformed(SourceError):
    """What the host sent is not HTTP as RFC 9112 defines it: it can be reached, but does not answer as it should."""

    code = "answer_malformed"
    transient = False


class AddressExpired(SourceError):
    """A CDN no longer honours its signed URL. A request to the Hub gives a new one, at no cost."""

    code = "address_expired"


class SourceChanged(SourceError):
    """The file behind the URL differs from the one that the partial was begun with."""

    code = "source_changed"
    transient = False


class SourceMissing(SourceError):
    code = "source_missing"
    retryable = False
    default_hint = "The file is gone or has moved: look for it at its source, or take another variant of the model."


class SourceRefused(SourceError):
    """A status that no retry will change."""

    code = "source_refused"
    retryable = False
    default_hint = "Open the URL in a browser to see what its host wants."


class RedirectRefused(SourceError):
    code = "redirect_refused"
    retryable = False
    default_hint = "Tell the owner of that URL: the redirect is unsafe or endless."


class TooLarge(SourceError):
    """An answer larger than any legitimate one: it is cut off, and nothing of it is used."""

    code = "too_large"
    retryable = False
    default_hint = "Open the URL in a browser: it may not be what you think it is."


class TlsUntrusted(SourceError):
    """The host's certificate is not trusted. It may pass: a captive portal shows its own until the user signs in."""

    code = "tls_untrusted"
    needs_user = True
    default_hint = (
        "If your network has a CA of its own, set SSL_CERT_FILE to its certificate (PEM); if it requires a sign-in, "
        "open any page in a browser."
    )


class TrustUnreadable(TlsUntrusted):
    """The certificates that SSL_CERT_FILE or SSL_CERT_DIR name cannot be read, so no host can be trusted."""

    code = "trust_unreadable"
    from_host = False
    default_hint = "Set it to a file of certificates (PEM), or unset it{for_the_worker_too}."


class WaitTooLong(SourceError):
    code = "wait_too_long"
    retryable = False
    default_hint = "{retry} after that time."


class WrongContent(SourceError):
    """The first bytes are not of the format that was promised: a log-in page, an error page."""

    code = "wrong_content"
    transient = False  # a maintenance page or a captive portal's may be gone at the next try
    default_hint = "Open the URL in a browser: it may want a sign-in, or serve an error page."


class MirrorUnfit(SourceError):
    """A mirror's answer is not the file: another size, a redirect to elsewhere. The next address is asked."""

    code = "mirror_unfit"


class MirrorMismatch(SourceError):
    """A mirror sent bytes that do not have the file's digest. It is dropped, and the bytes are fetched elsewhere."""

    code = "mirror_mismatch"
    default_hint = "Remove the mirror from [mirrors] in config.toml, or tell its operator."


class CutShort(SourceError):
    """A model file that no digest pins ends before its own header says: it is not installed."""

    code = "cut_short"
    retryable = False
    default_hint = "The source's own copy is not whole: take another variant of the model, or tell its publisher."


# Their causes are this machine's settings or its network, and their hints name what to change.
NETWORK_SETTINGS = (ProxyUnreachable, ProxyUnusable, ProxySignIn, TlsUntrusted)
