"""The Hub of 2026: Xet headers, a CDN's ETag that looks like a digest, relative redirects, rate limits, 400."""

import pytest
from lib.origin.hub.repositories import HubFile
from support.fault_files import HALF, MIB
from support.fault_ways import ApiDownloader
from support.faults import CappedRange, EarlyClose, Status
from support.models import gguf_pattern
from support.run_fetch import BackgroundRun, journaled_bytes, pinned_artifact, quick, run_transfer, unpinned_artifact

from flowhub_jobs.errors import ServerBusy, SourceRefused

MODEL = gguf_pattern(5 * MIB, seed=1)
URL = "https://huggingface.co/org/model/resolve/main/m.gguf"


@pytest.fixture
def model(hub):
    hub.add("org/model", "m.gguf", MODEL)
    return pinned_artifact(URL, MODEL)


def at(hub, **changed):
    return quick(hub_endpoint=hub.endpoint, **changed)


def test_the_digest_of_a_large_file_is_the_hubs_and_not_the_cdns_etag_of_64_hex(hub, model, tmp_path):
    result = run_transfer(unpinned_artifact(URL), tmp_path, options=at(hub))
    assert result.content() == MODEL.read()
    assert result.fetched.files[0].pinned
    cdn_tag = hub.cdn.answer(hub.cdn.requests()[-1]).headers["ETag"]
    assert len(cdn_tag) == 66, "with its quotes"
    assert MODEL.sha256() not in cdn_tag


def test_what_a_link_header_offers_is_not_followed(hub, model, downloader):
    downloader.assert_succeeds(unpinned_artifact(URL), MODEL, at(hub))
    assert [request.path for request in hub.front.requests()] == ["/org/model/resolve/main/m.gguf"]


def test_a_small_file_is_found_behind_a_relative_redirect_with_a_query(hub, downloader):
    hub.add("org/model", "config.json", b'{"a": 1}', lfs=False)
    url = "https://huggingface.co/org/model/resolve/main/config.json"
    outcome = downloader.fetch(unpinned_artifact(url, "config.json"), at(hub))
    assert outcome.path.read_bytes() == b'{"a": 1}'
    assert [request.status for request in hub.front.requests()] == [307, 206]


def test_the_address_of_a_file_is_resolved_once_for_all_its_ranges(hub, model, downloader):
    hub.break_cdn(CappedRange(most=MIB), EarlyClose(after=1000).first(3))
    downloader.assert_succeeds(model, MODEL, at(hub))
    assert len(hub.cdn.requests()) > 5
    assert len(hub.front.requests()) == 1


def test_a_second_run_resolves_once_more(hub, model, tmp_path):
    hub.break_cdn(CappedRange(most=HALF), Status(503, {"Retry-After": "60"}).nth(2))
    with BackgroundRun(model, tmp_path, options=at(hub)) as running, pytest.raises(Exception, match="answers 503"):
        running.result()
    hub.break_cdn()
    assert journaled_bytes(tmp_path) == HALF
    assert run_transfer(model, tmp_path, options=at(hub)).content() == MODEL.read()
    assert len(hub.front.requests()) == 2


@pytest.mark.parametrize("status", [400, 405, 412, 418])
def test_an_address_that_a_cdn_no_longer_takes_is_asked_for_again(hub, model, downloader, status):
    hub.break_cdn(CappedRange(most=MIB), Status(status).nth(2))
    downloader.assert_succeeds(model, MODEL, at(hub, faults_max=1))
    assert len(hub.front.requests()) == 2


def test_a_400_of_a_cdn_that_stays_names_size_and_host(hub, model, downloader):
    hub.break_cdn(Status(400))
    host = hub.cdn.address.removeprefix("http://")
    error = downloader.assert_fails(
        model, ServerBusy, f"m.gguf: {host} ", "a file of 5.2 MB", "status 400", options=at(hub)
    )
    assert error["retryable"]
    assert len(hub.front.requests()) == 10


def test_a_file_beyond_what_the_hub_serves_plainly_says_so_and_how_to_get_it(hub, downloader):
    size = 464_000_000_000
    huge = gguf_pattern(size)
    hub.repositories.files["org/model", "main", "m.gguf"] = HubFile(huge, "ab" * 32)
    hub.plain_max = 400_000_000_000
    host = hub.cdn.address.removeprefix("http://")
    error = downloader.assert_fails(
        unpinned_artifact(URL), SourceRefused, host, "464.0 GB", f"{size} bytes", options=at(hub)
    )
    assert not error["retryable"]
    assert "hf download" in error["hint"] or isinstance(downloader, ApiDownloader), "a program has no `flowhub adopt`"
    assert len(hub.front.requests()) in (2, 3, 4), "the Hub was asked for another address before that"


def test_an_empty_rate_limit_bucket_is_waited_for_and_other_buckets_are_ignored(hub, model, tmp_path):
    hub.break_front(Status(429, {"RateLimit": '"api";r=499;t=7, "resolvers";r=0;t=60'}))
    with pytest.raises(Exception, match="answers 429") as raised:
        run_transfer(model, tmp_path, options=at(hub))
    assert 50 < raised.value.seconds <= 60
    assert raised.value.asked_by_host
