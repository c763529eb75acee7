"""Access: a signed URL that expires during a transfer, a CDN edge that answers 403, and the Hub's own 401 and 403."""

import pytest
from support.fault_files import MIB
from support.faults import CappedRange, EarlyClose, Hold, Redirect, Status
from support.models import gguf_pattern
from support.run_fetch import BackgroundRun, journaled_bytes, pinned_artifact, quick, run_transfer, unpinned_artifact

from flowhub_jobs.errors import Gated, ServerBusy, SourceMissing, TokenMissing, TokenRefused
from flowhub_jobs.net.urls import origin as origin_of

MODEL = gguf_pattern(3 * MIB, seed=1)
TOKEN = "hf_" + "S3cret" * 5
URL = "https://huggingface.co/org/model/resolve/main/m.gguf"


@pytest.fixture
def model(hub):
    hub.add("org/model", "m.gguf", MODEL)
    return pinned_artifact(URL, MODEL)


def hub_options(hub, *, token=None, **changed):
    tokens = {origin_of(hub.endpoint): token} if token else {}
    return quick(hub_endpoint=hub.endpoint, tokens=tokens, **changed)


# The Hub's own -------------------------------------------------------------------------------------------------------


def assert_refused(hub, downloader, kind, *words, token=None):
    """Check the Hub's refusal: one request, since a retry would not help, and an error without the token."""
    host = hub.endpoint.removeprefix("http://")
    error = downloader.assert_fails(
        unpinned_artifact(URL), kind, f"m.gguf: {host} ", *words, options=hub_options(hub, token=token)
    )
    assert len(hub.front.requests()) == 1
    assert TOKEN not in f"{error['message']}{error['hint']}"
    assert not error["retryable"]
    return error


def test_a_gated_model_without_a_token_says_both_what_to_accept_and_to_set(hub, model, downloader):
    hub.access.gated.add("org/model")
    assert "HF_TOKEN" in assert_refused(hub, downloader, Gated)["hint"]


def test_a_gated_model_whose_terms_were_not_accepted_says_so(hub, model, downloader):
    hub.access.unaccepted.add("org/model")
    error = assert_refused(hub, downloader, Gated, "accept its terms", token=TOKEN)
    assert "HF_TOKEN" not in error["hint"]


def test_a_private_model_requires_a_token(hub, model, downloader):
    hub.access.private.add("org/model")
    assert "HF_TOKEN" in assert_refused(hub, downloader, TokenMissing)["hint"]


def test_a_sign_in_at_another_host_does_not_mention_the_hubs_token(origin, downloader):
    url = origin.serve("m.gguf", MODEL, faults=[Status(401)])
    hint = downloader.assert_fails(pinned_artifact(url, MODEL), TokenMissing, "requires a sign-in")["hint"]
    assert f'"{origin_of(url)}" = "…" under [tokens] in config.toml' in hint
    assert "HF_TOKEN" not in hint


def test_a_wrong_token_is_called_wrong(hub, model, downloader):
    hub.access.token = "hf_another"
    assert_refused(hub, downloader, TokenRefused, "does not accept the token", token=TOKEN)


def test_a_model_that_is_not_there_is_missing_to_those_who_are_signed_in(hub, downloader):
    assert_refused(hub, downloader, SourceMissing, "has no such repository (status 404)", token=TOKEN)


def test_a_file_that_does_not_exist_is_missing_with_or_without_a_token(hub, model, downloader):
    hub.add("org/model", "other.gguf", MODEL)
    del hub.repositories.files["org/model", "main", "m.gguf"]
    assert_refused(hub, downloader, SourceMissing, "has no such file (status 404)")


@pytest.mark.parametrize("status", [401, 403])
def test_the_refusal_of_a_hub_without_a_reason_names_the_status(hub, model, downloader, status):
    hub.break_front(Status(status))
    outcome = downloader.fetch(unpinned_artifact(URL), hub_options(hub))
    assert outcome.error["code"] in ("token_missing", "source_refused")
    assert str(status) in outcome.error["message"]
    assert outcome.error["hint"]


def test_each_refusal_has_its_own_message_and_hint(hub, model, tmp_path):
    def refusal(token, *, valid_token=None, **restrictions):
        hub.access.gated, hub.access.unaccepted, hub.access.private = set(), set(), set()
        hub.access.token = valid_token
        for restriction in restrictions:
            getattr(hub.access, restriction).add("org/model")
        with pytest.raises((Gated, TokenMissing, TokenRefused)) as raised:
            run_transfer(unpinned_artifact(URL), tmp_path, options=hub_options(hub, token=token))
        return raised.value.message, raised.value.hint

    refusals = [
        refusal(None, gated=True),
        refusal(TOKEN, unaccepted=True),
        refusal(None, private=True),
        refusal(TOKEN, valid_token="hf_another"),
    ]
    assert len({message for message, _ in refusals}) == len({hint for _, hint in refusals}) == 4


# Signed URLs ---------------------------------------------------------------------------------------------------------


def test_a_signed_address_that_expires_in_mid_file_is_requested_again_at_no_cost(hub, model, tmp_path):
    """With a budget of one fault, one counted fault would end the transfer."""
    hold = Hold(after=500_000).once()
    hub.break_cdn(CappedRange(most=MIB), hold)
    with BackgroundRun(model, tmp_path, options=hub_options(hub, faults_max=1, connections_per_host=1)) as running:
        hub.cdn.wait_for(lambda: journaled_bytes(tmp_path) == 500_000)
        hub.expire_links()
        hold.event.set()
        result = running.result()
    assert result.content() == MODEL.read()
    assert [request.status for request in hub.cdn.requests()] == [206, 403, 206, 206]
    assert len(hub.front.requests()) == 2
    assert sum(request.bytes_sent for request in hub.cdn.requests() if request.status == 206) == MODEL.size
    assert result.note_kinds == ["again"]


def test_urls_that_expire_before_every_request_cost_one_request_each_and_no_budget(hub, downloader):
    """A model of twelve pieces, each URL valid for one piece: more refusals than the budget has faults."""
    model = gguf_pattern(12 * MIB, seed=2)
    hub.add("org/model", "m.gguf", model)
    hub.break_cdn(CappedRange(most=MIB), *(Status(403).nth(number) for number in range(2, 24, 2)))
    downloader.assert_succeeds(
        pinned_artifact(URL, model), model, hub_options(hub, faults_max=3, connections_per_host=1)
    )
    assert sum(request.bytes_sent for request in hub.cdn.requests() if request.status == 206) == model.size


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_edge_that_forgets_its_address_is_asked_again(hub, model, downloader, status):
    hub.break_cdn(CappedRange(most=MIB), Status(status).nth(2))
    downloader.assert_succeeds(model, MODEL, hub_options(hub, faults_max=1))
    assert len(hub.front.requests()) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_edge_that_refuses_a_good_range_of_a_fresh_address_once_is_asked_again(hub, model, downloader, status):
    hub.break_cdn(Status(status).once())
    downloader.assert_succeeds(model, MODEL, hub_options(hub))
    assert sum(request.bytes_sent for request in hub.cdn.requests() if request.status == 206) == MODEL.size


def test_an_edge_that_refuses_every_address_is_given_up_after_ten_tries(hub, model, downloader):
    hub.break_cdn(Status(403))
    edge = hub.cdn.address.removeprefix("http://")
    words = f"m.gguf: {edge} refuses a freshly signed address of a file of "
    downloader.assert_fails(model, ServerBusy, words, "(status 403)", options=hub_options(hub))
    assert len(hub.cdn.requests()) == 10


def test_a_signature_is_in_no_error_and_no_note(hub, model, tmp_path):
    hub.break_cdn(EarlyClose(after=100), EarlyClose())
    with pytest.raises(Exception, match="dropped the connection") as raised:
        run_transfer(model, tmp_path, options=hub_options(hub, token=TOKEN))
    text = raised.value.message + str(raised.value.hint)
    assert "Signature" not in text
    assert TOKEN not in text


def test_the_error_of_a_refused_redirect_shows_no_secret(origin, tmp_path):
    artifact = unpinned_artifact(
        origin.serve("m.gguf", b"", faults=[Redirect(302, "ftp://user:pw@x.example/m?sig=abc")])
    )
    with pytest.raises(Exception, match="redirects") as raised:
        run_transfer(artifact, tmp_path)
    assert not any(secret in str(raised.value.as_dict()) for secret in ("pw", "abc"))
