"""Tokens: each goes to the origin that it belongs to and to no other, and no text shows one."""

import pytest
from lib.origin.content import Bytes
from support.faults import CappedRange, EarlyClose, Redirect
from support.models import gguf_pattern
from support.origin import Origin
from support.run_fetch import pinned_artifact, quick, run_transfer

from flowhub_jobs.net.urls import origin as origin_of

MIB = 1 << 20
MODEL = gguf_pattern(3 * MIB, seed=1)
TOKEN = "hf_" + "S3cret" * 5
URL = "https://huggingface.co/org/model/resolve/main/m.gguf"


@pytest.fixture
def model(hub):
    hub.add("org/model", "m.gguf", MODEL)
    return pinned_artifact(URL, MODEL)


def options_for(hub, *, token=None, **changed):
    tokens = {origin_of(hub.endpoint): token} if token else {}
    return quick(hub_endpoint=hub.endpoint, tokens=tokens, **changed)


def authorizations(server):
    """Return the Authorization header of each request that a server received."""
    return [request.headers.get("authorization") for request in server.requests()]


# Tokens --------------------------------------------------------------------------------------------------------------


def test_the_token_goes_to_the_hub_and_never_to_the_cdn(hub, model, tmp_path):
    hub.access.gated.add("org/model")
    hub.access.token = TOKEN
    hub.break_cdn(EarlyClose(after=MIB).once(), CappedRange(most=MIB))
    run = run_transfer(model, tmp_path, options=options_for(hub, token=TOKEN))
    assert run.content() == MODEL.read()
    assert set(authorizations(hub.front)) == {f"Bearer {TOKEN}"}
    assert hub.cdn.requests()
    assert hub.leaked_tokens == []


def test_a_redirect_that_stays_at_the_hub_keeps_the_token(hub, tmp_path):
    content = Bytes(b'{"model_type": "llama"}')
    hub.add("org/model", "config.json", content, lfs=False)
    hub.access.gated.add("org/model")
    hub.access.token = TOKEN
    artifact = pinned_artifact("https://huggingface.co/org/model/resolve/main/config.json", content, "config.json")
    assert run_transfer(artifact, tmp_path, options=options_for(hub, token=TOKEN)).content() == content.data
    assert authorizations(hub.front) == [f"Bearer {TOKEN}"] * 2


def test_another_host_gets_no_token(hub, origin, tmp_path):
    artifact = pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)
    run_transfer(artifact, tmp_path, options=options_for(hub, token=TOKEN))
    assert authorizations(origin) == [None]


def test_a_url_of_the_hubs_own_endpoint_gets_the_token(hub, model, tmp_path):
    run_transfer(
        pinned_artifact(hub.url("org/model", "m.gguf"), MODEL), tmp_path, options=options_for(hub, token=TOKEN)
    )
    assert authorizations(hub.front) == [f"Bearer {TOKEN}"]
    assert hub.leaked_tokens == []


def test_tokens_of_several_origins_each_go_to_their_own(origin, tmp_path):
    with Origin() as other:
        url = other.serve("real.gguf", MODEL)
        artifact = pinned_artifact(origin.serve("m.gguf", b"", faults=[Redirect(302, url)]), MODEL)
        tokens = {origin_of(origin.address): "first", origin_of(other.address): "second"}
        run_transfer(artifact, tmp_path, options=quick(tokens=tokens))
        assert (authorizations(origin), authorizations(other)) == (["Bearer first"], ["Bearer second"])


def test_another_port_or_name_of_the_same_machine_is_another_origin(origin, tmp_path):
    with Origin() as other:
        url = other.serve("real.gguf", MODEL).replace("127.0.0.1", "localhost")
        artifact = pinned_artifact(origin.serve("m.gguf", b"", faults=[Redirect(302, url)]), MODEL)
        tokens = {origin_of(origin.address): "first", origin_of(other.address): "second"}
        run_transfer(artifact, tmp_path, options=quick(tokens=tokens))
        assert authorizations(other) == [None]


def test_transfer_options_do_not_show_their_tokens(hub):
    assert TOKEN not in repr(options_for(hub, token=TOKEN))
