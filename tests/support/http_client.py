"""A plain client for tests of the origins, over http.client."""

import http.client
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest

ResponseAndBody = tuple[http.client.HTTPResponse, bytes]


@contextmanager
def open_connection(url: str, tls: ssl.SSLContext | None = None) -> Iterator[http.client.HTTPConnection]:
    host = urlsplit(url).netloc
    plain = http.client.HTTPConnection(host, timeout=30)
    with closing(http.client.HTTPSConnection(host, timeout=30, context=tls) if tls else plain) as connection:
        yield connection


def send_request(url: str, method: str = "GET", **headers: str) -> ResponseAndBody:
    """Return the response and its body, over a new connection; `_` in a header's name stands for `-`."""
    with open_connection(url) as connection:
        return send_request_over(connection, url, method, **headers)


def send_request_over(
    connection: http.client.HTTPConnection, url: str, method: str = "GET", **headers: str
) -> ResponseAndBody:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    connection.request(method, target, headers={name.replace("_", "-"): text for name, text in headers.items()})
    response = connection.getresponse()
    return response, response.read()


def body_before_error(url: str, error: type[BaseException]) -> bytes:
    """Return the body bytes that came before the connection ended with this error."""
    body = b""
    with open_connection(url) as connection:
        connection.request("GET", urlsplit(url).path)
        response = connection.getresponse()
        with pytest.raises(error):  # noqa: PT012, the bytes before the error are the point
            while chunk := response.read1(65536):
                body += chunk
            raise http.client.IncompleteRead(body)
    return body
