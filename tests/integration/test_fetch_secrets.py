"""A token goes to the origin it belongs to and to no other; what is signed expires and is shown to nobody."""

import threading

import pytest
from origin_content import Bytes
from support.engine import Running, kept_in, pinned, quick, run, unpinned
from support.faults import CappedRange, EarlyClose, Hold, Redirect, Status
from support.models import gguf_pattern
from support.origin import Origin

from flowhub_jobs.addresses import origin as origin_of
from flowhub_jobs.errors import Gated, ServerBusy, TokenMissing, TokenRefused
from flowhub_jobs.transfer import committer

MIB = 1 << 20
MODEL = gguf_pattern(3 * MIB, seed=1)
TOKEN = "hf_" + "S3cret" * 5
URL = "https://huggingface.co/org/model/resolve/main/m.gguf"


@pytest.fixture
def model(hub):
    hub.add("org/model", "m.gguf", MODEL)
    return pinned(URL, MODEL)


def at(hub, *, token=None, **changed):
    tokens = {origin_of(hub.endpoint): token} if token else {}
    return quick(hub_endpoint=hub.endpoint, tokens=tokens, **changed)


def shown(server):
    """Return the Authorization of each request that a server got."""
    return [request.headers.get("authorization") for request in server.requests()]


# Tokens --------------------------------------------------------------------------------------------------------------


def test_the_token_goes_to_the_hub_and_never_to_the_cdn(hub, model, tmp_path):
    hub.doors.gated.add("org/model")
    hub.doors.token = TOKEN
    hub.break_cdn(EarlyClose(after=MIB).once(), CappedRange(most=MIB))
    got = run(model, tmp_path, terms=at(hub, token=TOKEN))
    assert got.content() == MODEL.read()
    assert set(shown(hub.front)) == {f"Bearer {TOKEN}"}
    assert hub.cdn.requests()
    assert hub.leaked_tokens == []


def test_a_redirect_that_stays_at_the_hub_keeps_the_token(hub, tmp_path):
    content = Bytes(b'{"model_type": "llama"}')
    hub.add("org/model", "config.json", content, lfs=False)
    hub.doors.gated.add("org/model")
    hub.doors.token = TOKEN
    artifact = pinned("https://huggingface.co/org/model/resolve/main/config.json", content, "config.json")
    assert run(artifact, tmp_path, terms=at(hub, token=TOKEN)).content() == content.data
    assert shown(hub.front) == [f"Bearer {TOKEN}"] * 2


def test_an_address_elsewhere_gets_no_token(hub, origin, tmp_path):
    artifact = pinned(origin.serve("m.gguf", MODEL), MODEL)
    run(artifact, tmp_path, terms=at(hub, token=TOKEN))
    assert shown(origin) == [None]


def test_the_hub_itself_asked_by_its_endpoints_own_address_gets_the_token(hub, model, tmp_path):
    run(pinned(hub.url("org/model", "m.gguf"), MODEL), tmp_path, terms=at(hub, token=TOKEN))
    assert shown(hub.front) == [f"Bearer {TOKEN}"]
    assert hub.leaked_tokens == []


def test_tokens_of_several_origins_each_go_to_their_own(origin, tmp_path):
    with Origin() as other:
        url = other.serve("real.gguf", MODEL)
        artifact = pinned(origin.serve("m.gguf", b"", faults=[Redirect(302, url)]), MODEL)
        tokens = {origin_of(origin.address): "ours", origin_of(other.address): "theirs"}
        run(artifact, tmp_path, terms=quick(tokens=tokens))
        assert (shown(origin), shown(other)) == (["Bearer ours"], ["Bearer theirs"])


def test_another_port_or_name_of_the_same_machine_is_another_origin(origin, tmp_path):
    with Origin() as other:
        url = other.serve("real.gguf", MODEL).replace("127.0.0.1", "localhost")
        artifact = pinned(origin.serve("m.gguf", b"", faults=[Redirect(302, url)]), MODEL)
        tokens = {origin_of(origin.address): "ours", origin_of(other.address): "theirs"}
        run(artifact, tmp_path, terms=quick(tokens=tokens))
        assert shown(other) == [None]


def test_the_terms_do_not_show_their_tokens(hub):
    assert TOKEN not in repr(at(hub, token=TOKEN))


# Doors ---------------------------------------------------------------------------------------------------------------


def knock(hub, tmp_path, token=None):
    with pytest.raises((Gated, TokenMissing, TokenRefused)) as caught:
        run(unpinned(URL), tmp_path, terms=at(hub, token=token))
    assert len(hub.front.requests()) == 1, "asking again would not help"
    assert TOKEN not in f"{caught.value.message}{caught.value.hint}"
    return caught.value


def test_a_gated_model_without_a_token_says_both_what_to_accept_and_to_set(hub, model, tmp_path):
    hub.doors.gated.add("org/model")
    error = knock(hub, tmp_path)
    assert type(error) is Gated
    assert "HF_TOKEN" in error.hint


def test_a_gated_model_whose_terms_were_not_accepted_says_so(hub, model, tmp_path):
    hub.doors.unaccepted.add("org/model")
    error = knock(hub, tmp_path, token=TOKEN)
    assert type(error) is Gated
    assert "accept its terms" in error.message
    assert "HF_TOKEN" not in error.hint


def test_a_private_model_without_a_token_wants_one(hub, model, tmp_path):
    hub.doors.private.add("org/model")
    assert type(knock(hub, tmp_path)) is TokenMissing


def test_a_wrong_token_is_called_wrong(hub, model, tmp_path):
    hub.doors.token = "hf_another"
    assert type(knock(hub, tmp_path, token=TOKEN)) is TokenRefused


# Signed addresses ----------------------------------------------------------------------------------------------------


def test_a_signed_address_that_expires_in_mid_file_is_asked_for_anew_at_no_cost(hub, model, tmp_path, monkeypatch):
    """With a budget of one fault, any that counted would end it."""
    monkeypatch.setattr(committer, "PERIOD_S", 0.02)
    hold = Hold(event=threading.Event(), after=500_000).once()
    hub.break_cdn(CappedRange(most=MIB), hold)
    with Running(model, tmp_path, terms=at(hub, faults_max=1, connections_per_host=1)) as running:
        hub.cdn.wait_for(lambda: kept_in(tmp_path) == 500_000)
        hub.expire_links()
        hold.event.set()
        got = running.end()
    assert got.content() == MODEL.read()
    assert [request.status for request in hub.cdn.requests()] == [206, 403, 206, 206]
    assert len(hub.front.requests()) == 2
    assert sum(request.bytes_sent for request in hub.cdn.requests() if request.status == 206) == MODEL.size
    assert got.note_kinds == ["again"]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_edge_that_forgets_its_address_is_asked_anew(hub, model, tmp_path, status):
    hub.break_cdn(CappedRange(most=MIB), Status(status).nth(2))
    got = run(model, tmp_path, terms=at(hub, faults_max=1))
    assert got.content() == MODEL.read()
    assert len(hub.front.requests()) == 2


def test_an_edge_that_refuses_every_address_is_given_up(hub, model, tmp_path):
    hub.break_cdn(Status(403))
    with pytest.raises(ServerBusy, match="refuses a freshly signed address"):
        run(model, tmp_path, terms=at(hub))
    assert len(hub.cdn.requests()) == 10


def test_a_signature_is_in_no_error_and_no_note(hub, model, tmp_path):
    hub.break_cdn(EarlyClose(after=100), EarlyClose())
    with pytest.raises(Exception, match="dropped the connection") as caught:
        run(model, tmp_path, terms=at(hub, token=TOKEN))
    said = caught.value.message + str(caught.value.hint)
    assert "Signature" not in said
    assert TOKEN not in said


def test_a_secret_in_a_redirect_that_is_refused_is_not_told(origin, tmp_path):
    artifact = unpinned(origin.serve("m.gguf", b"", faults=[Redirect(302, "ftp://user:pw@x.example/m?sig=abc")]))
    with pytest.raises(Exception, match="redirects") as caught:
        run(artifact, tmp_path)
    assert not any(secret in str(caught.value.as_dict()) for secret in ("pw", "abc"))
