"""Whom flowhub trusts, and what it says of a certificate that it does not trust."""

import ssl
from datetime import date

import pytest

from flowhub_jobs.errors import NETWORK_SETTINGS, TlsUntrusted, TrustUnreadable
from flowhub_jobs.net.httpx_errors import trust, untrusted

pytestmark = pytest.mark.usefixtures("fresh_trust", "home")


def refused(code, message):
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, message
    return untrusted("h.example", error)


@pytest.mark.parametrize(("code", "says"), [(9, "certificate is not yet valid"), (10, "certificate has expired")])
def test_the_error_of_an_expired_certificate_names_this_machines_date(code, says):
    error = refused(code, says)
    assert says in error.message
    assert date.today().isoformat() in error.message
    assert error.hint is not None
    assert "clock" in error.hint


def test_the_error_of_another_hosts_certificate_names_the_possible_sign_in():
    error = refused(62, "Hostname mismatch, certificate is not valid for 'h.example'.")
    assert error.message.endswith("is not valid for 'h.example'.")
    assert error.hint is not None
    assert "sign-in" in error.hint


def test_the_error_of_an_unknown_ca_names_the_variable_of_the_trusted_ones(monkeypatch):
    assert "SSL_CERT_FILE" in str(refused(19, "self-signed certificate in certificate chain").hint)
    monkeypatch.setenv("SSL_CERT_DIR", "/etc/own")
    assert "SSL_CERT_DIR (/etc/own)" in str(refused(20, "unable to get local issuer certificate").hint)


def test_a_certificate_error_may_pass_and_needs_the_user_at_once():
    assert TlsUntrusted.retryable
    assert TlsUntrusted.needs_user
    assert issubclass(TrustUnreadable, NETWORK_SETTINGS)


@pytest.fixture
def broken(tmp_path):
    """Paths by what is wrong with them."""
    (tmp_path / "page.pem").write_text("<html>")
    (tmp_path / "empty.pem").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    cut = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    (tmp_path / "cut.pem").write_text(cut)
    return tmp_path


@pytest.mark.parametrize("name", ["page.pem", "empty.pem", "cut.pem", "folder", "missing.pem"])
def test_a_file_of_certificates_that_cannot_be_read_is_named_with_its_variable(broken, monkeypatch, name):
    monkeypatch.setenv("SSL_CERT_FILE", str(broken / name))
    with pytest.raises(TrustUnreadable) as caught:
        trust()
    assert f"SSL_CERT_FILE ({broken / name}) cannot be read: " in caught.value.message
    monkeypatch.delenv("SSL_CERT_FILE")
    assert trust().verify_mode is ssl.CERT_REQUIRED


def test_a_folder_of_certificates_that_is_not_there_is_named(broken, monkeypatch):
    monkeypatch.setenv("SSL_CERT_DIR", str(broken / "missing"))
    with pytest.raises(TrustUnreadable, match=r"SSL_CERT_DIR \(.*missing\) cannot be read: No such file"):
        trust()


def test_a_key_log_that_cannot_be_written_changes_no_trust(monkeypatch, tmp_path):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys"))
    assert trust().check_hostname
    trust.cache_clear()
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert trust().keylog_filename == str(tmp_path / "keys")


def test_a_ca_that_python_3_13_is_too_strict_for_is_trusted():
    """Those of company networks often lack what RFC 5280 wants (python/cpython#107361)."""
    assert not trust().verify_flags & ssl.VERIFY_X509_STRICT
