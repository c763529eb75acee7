"""TLS trust: the certificates that flowhub accepts, and its errors for those that it does not."""

import ssl
from datetime import date

import pytest

from flowhub_jobs.errors import NETWORK_SETTINGS, TlsUntrusted, TrustUnreadable
from flowhub_jobs.net.httpx_errors import untrusted
from flowhub_jobs.net.tls_context import ssl_context

pytestmark = pytest.mark.usefixtures("uncached_trust", "home")


def error_of(code, message):
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, message
    return untrusted("h.example", error)


@pytest.mark.parametrize(("code", "reason"), [(9, "certificate is not yet valid"), (10, "certificate has expired")])
def test_the_error_of_an_expired_certificate_names_this_machines_date(code, reason):
    error = error_of(code, reason)
    assert reason in error.message
    assert date.today().isoformat() in error.message
    assert error.hint is not None
    assert "clock" in error.hint


def test_the_error_of_another_hosts_certificate_suggests_a_sign_in_page():
    error = error_of(62, "Hostname mismatch, certificate is not valid for 'h.example'.")
    assert error.message.endswith("is not valid for 'h.example'.")
    assert error.hint is not None
    assert "sign-in" in error.hint


def test_the_error_of_an_unknown_ca_names_the_variable_of_trusted_cas(monkeypatch):
    assert "SSL_CERT_FILE" in str(error_of(19, "self-signed certificate in certificate chain").hint)
    monkeypatch.setenv("SSL_CERT_DIR", "/etc/own")
    assert "SSL_CERT_DIR (/etc/own)" in str(error_of(20, "unable to get local issuer certificate").hint)


def test_a_certificate_error_is_retryable_and_needs_the_user_at_once():
    assert TlsUntrusted.retryable
    assert TlsUntrusted.needs_user
    assert issubclass(TrustUnreadable, NETWORK_SETTINGS)


@pytest.fixture
def unreadable(tmp_path):
    """Return a folder with certificate files, each named after its fault."""
    (tmp_path / "page.pem").write_text("<html>")
    (tmp_path / "empty.pem").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    cut = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    (tmp_path / "cut.pem").write_text(cut)
    return tmp_path


@pytest.mark.parametrize("name", ["page.pem", "empty.pem", "cut.pem", "folder", "missing.pem"])
def test_a_file_of_certificates_that_cannot_be_read_is_named_with_its_variable(unreadable, monkeypatch, name):
    monkeypatch.setenv("SSL_CERT_FILE", str(unreadable / name))
    with pytest.raises(TrustUnreadable) as raised:
        ssl_context()
    assert f"SSL_CERT_FILE ({unreadable / name}) cannot be read: " in raised.value.message
    monkeypatch.delenv("SSL_CERT_FILE")
    assert ssl_context().verify_mode is ssl.CERT_REQUIRED


def test_a_missing_folder_of_certificates_is_named(unreadable, monkeypatch):
    monkeypatch.setenv("SSL_CERT_DIR", str(unreadable / "missing"))
    with pytest.raises(TrustUnreadable, match=r"SSL_CERT_DIR \(.*missing\) cannot be read: No such file"):
        ssl_context()


def test_a_key_log_that_cannot_be_written_does_not_change_trust(monkeypatch, tmp_path):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys"))
    assert ssl_context().check_hostname
    ssl_context.cache_clear()
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert ssl_context().keylog_filename == str(tmp_path / "keys")


def test_a_ca_that_python_3_13_is_too_strict_for_is_trusted():
    """CAs of company networks often lack fields that RFC 5280 requires (python/cpython#107361)."""
    assert not ssl_context().verify_flags & ssl.VERIFY_X509_STRICT
