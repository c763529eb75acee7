"""The sign-ins that a proxy offers in its Proxy-Authenticate headers."""

import pytest

from flowhub_jobs.net.proxy_auth_schemes import unsupported_schemes

OFFERS = {
    "nothing": ([], ""),
    "an empty header": ([""], ""),
    "Basic": (['Basic realm="a, NTLM b"'], ""),
    "Basic in another case": (["basic"], ""),
    "Basic as one of several": (["Negotiate", "NTLM", "Basic realm=x"], ""),
    "Basic as one of several in one header": (['Digest realm="x", nonce="y", Basic realm="z"'], ""),
    "one other": (["NTLM"], "NTLM"),
    "others": (["Negotiate", "NTLM", "NTLM"], "Negotiate or NTLM"),
    "another with parameters": (['Digest realm="a \\" , Basic", qop=auth, nonce = "b"'], "Digest"),
    "another with a token": (["Negotiate YII=, NTLM TlRMTVNTUAAB=="], "Negotiate or NTLM"),
}


@pytest.mark.parametrize(("challenges", "schemes"), OFFERS.values(), ids=OFFERS)
def test_the_schemes_without_basic_are_named(challenges, schemes):
    assert unsupported_schemes(challenges) == schemes
