"""A real HTTP origin on loopback for tests: correct unless a test injects faults; it counts every byte."""

import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from lib.origin.answer import Answer, Request, content_answer, text_answer
from lib.origin.content import Content, Pattern, content_of

from support.faults import Fault, FaultyServer

__all__ = ["Origin", "Pattern", "Request", "TrafficMeter"]

CERTIFICATE = """
[req]
prompt = no
distinguished_name = name
x509_extensions = about
[name]
CN = localhost
[about]
basicConstraints = critical,CA:TRUE
keyUsage = critical,digitalSignature,keyCertSign
subjectKeyIdentifier = hash
subjectAltName = {names}
"""


class Origin(FaultyServer):
    """Serves the content that `serve` gets. With `tls=True` it speaks https, and clients have to trust `ca_file`.

    Its certificate is for this machine, or for `host_name`.
    """

    def __init__(self, *, tls: bool = False, host_name: str | None = None) -> None:
        self._served: dict[str, tuple[Content, str | None, Mapping[str, str]]] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="origin-") if tls else None
        super().__init__(tls=_self_signed(Path(self._folder.name), host_name) if self._folder else None)

    @property
    def ca_file(self) -> Path:
        assert self._folder is not None, "only an Origin(tls=True) has a certificate"
        return Path(self._folder.name) / "ca.pem"

    def serve(
        self,
        path: str,
        content: bytes | Path | Content,
        *,
        etag: str | None = None,
        headers: Mapping[str, str] | None = None,
        faults: Sequence[Fault] = (),
    ) -> str:
        """Put content under a path, replacing any earlier content, and return its URL.

        `etag` includes its quotes; None makes a strong one from the content. The faults count requests from 1 again.
        """
        path = "/" + path.lstrip("/")
        content = content_of(content)
        self._served[path] = (content, etag, dict(headers or {}))
        self.break_with(*faults, path=path)
        return self.url(path)

    def remove(self, path: str) -> None:
        """Answer 404 for this path from now on."""
        self._served.pop("/" + path.lstrip("/"), None)

    def url(self, path: str) -> str:
        return f"{self.address}/{path.lstrip('/')}"

    def range_starts(self, path: str = "m.gguf") -> list[int]:
        """Return the byte at which each request for a path began, in order."""
        ranges = (request.range or "bytes=0-" for request in self.requests(path))
        return [int(text.removeprefix("bytes=").split("-")[0]) for text in ranges]

    def answer(self, request: Request) -> Answer:
        if request.path not in self._served:
            return text_answer(404, "Not Found")
        content, etag, headers = self._served[request.path]
        return content_answer(request, content, etag or content.etag, headers)

    def close(self) -> None:
        super().close()
        if self._folder:
            self._folder.cleanup()


class TrafficMeter:
    """Counts the bytes of a path that an origin sends from now on."""

    def __init__(self, origin: Origin, path: str = "m.gguf") -> None:
        self.origin, self.path, self.before = origin, path, origin.sent(path)

    @property
    def bytes(self) -> int:
        return self.origin.sent(self.path) - self.before


def _self_signed(folder: Path, host_name: str | None) -> ssl.SSLContext:
    """Return a server's context with a fresh certificate for localhost and 127.0.0.1, kept in `folder`."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the `openssl` command, to make a certificate with")
    config, key, certificate = folder / "settings", folder / "key.pem", folder / "ca.pem"
    config.write_text(CERTIFICATE.format(names=f"DNS:{host_name}" if host_name else "DNS:localhost,IP:127.0.0.1"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", str(config)]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
