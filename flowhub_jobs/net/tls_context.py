"""Makes the TLS context of all requests: the trusted certificates, and the log of keys."""

import functools
import logging
import os
import ssl
from contextlib import suppress

from flowhub_jobs.errors import FlowhubError, TrustUnreadable

log = logging.getLogger("flowhub.tls")

CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@functools.cache
def ssl_context() -> ssl.SSLContext:
    """Return a context that trusts SSL_CERT_FILE, else SSL_CERT_DIR, else certifi. Loaded once: it takes 20 ms.

    Raises TrustUnreadable, which names the variable and its value.
    """
    import certifi

    setting = next(((name, value) for name in CERTIFICATE_VARIABLES if (value := os.environ.get(name))), None)
    variable, path = setting or ("certifi", certifi.where())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Not ssl.create_default_context: from Python 3.13 on it refuses CAs that RFC 5280 would have made otherwise, as
    # those of company networks often are (python/cpython#107361, VERIFY_X509_STRICT); OpenSSL, curl and Go take them.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a certificate that the user trusts need not be a root
    try:
        _load(context, variable, path)
    except (OSError, ssl.SSLError) as error:
        raise TrustUnreadable(
            f"The certificates of {variable} ({path}) cannot be read: {_why_not(path, error)}."
        ) from error
    _keep_key_log(context)
    return context


def _load(context: ssl.SSLContext, variable: str, path: str) -> None:
    if variable == "SSL_CERT_DIR":
        folders = path.split(os.pathsep)
        if not any(os.path.isdir(folder) for folder in folders):  # OpenSSL does not read it before the first handshake
            os.listdir(folders[0])
        context.load_verify_locations(capath=path)
    else:
        context.load_verify_locations(cafile=path)


def _why_not(path: str, error: OSError) -> str:
    if os.path.isdir(path):
        return "it is a folder (SSL_CERT_DIR names folders)"
    return error.strerror or "there is no certificate in it" if error.errno else "there is no certificate (PEM) in it"


def _keep_key_log(context: ssl.SSLContext) -> None:
    """Log the keys of TLS to SSLKEYLOGFILE, as curl and browsers do, if it can be written."""
    path = os.environ.get("SSLKEYLOGFILE")
    if path:
        try:
            context.keylog_filename = path
        except OSError as error:
            log.info("SSLKEYLOGFILE (%s) cannot be written, so no TLS keys are logged: %s.", path, error.strerror)


def preload_ssl_context() -> None:
    """Load the certificates in advance, in a thread. The first request raises what is wrong with them."""
    with suppress(FlowhubError):
        ssl_context()
