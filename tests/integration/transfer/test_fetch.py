"""Transfers without an error: every byte arrives once, verified, and progress is reported."""

import threading

import pytest
from lib.origin.content import Bytes
from support.faults import CappedRange, Hold, IgnoreRange, NoEtag, NoLength
from support.models import gguf, gguf_pattern, mlx_folder, safetensors_pattern
from support.run_fetch import (
    BackgroundRun,
    folder_artifact,
    one_file_artifact,
    part_path,
    pinned_artifact,
    quick,
    run_transfer,
    unpinned_artifact,
)

from flowhub_jobs.errors import AddressRefused
from flowhub_jobs.transfer import fetch as fetch_module
from flowhub_jobs.transfer.concurrency import ConcurrencyPlan
from flowhub_jobs.transfer.fetch import SharedLimits
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.rate_limit import TokenBucket
from flowhub_jobs.values.artifacts import ArtifactFile
from flowhub_jobs.values.enums import DigestState, Stage

MIB = 1 << 20
MODEL = gguf_pattern(3 * MIB + 12345, seed=1)


@pytest.fixture
def four_connections(monkeypatch):
    """Four connections, from the start to the end."""
    fixed = ConcurrencyPlan(count=4, baseline=4, backing_off_until=float("inf"))
    monkeypatch.setattr(fetch_module, "ConcurrencyPlan", lambda **_: fixed)


# One file ------------------------------------------------------------------------------------------------------------


def test_a_pinned_file_arrives_verified_and_each_byte_of_it_once(origin, tmp_path):
    run = run_transfer(pinned_artifact(origin.serve("m.gguf", MODEL), MODEL), tmp_path)
    file = run.fetched.files[0]
    assert run.content() == MODEL.read()
    assert (file.path, file.bytes, file.sha256, file.pinned) == ("m.gguf", MODEL.size, MODEL.sha256(), True)
    assert origin.sent("m.gguf") == run.fetched.bytes_fetched == MODEL.size


def test_an_unpinned_file_arrives_with_the_digest_that_was_computed(origin, tmp_path):
    run = run_transfer(unpinned_artifact(origin.serve("m.gguf", MODEL)), tmp_path)
    assert run.content() == MODEL.read()
    assert (run.fetched.files[0].sha256, run.fetched.files[0].pinned) == (MODEL.sha256(), False)
    assert origin.sent("m.gguf") == MODEL.size


def test_a_file_of_known_size_and_unknown_digest_arrives(origin, tmp_path):
    url = origin.serve("m.gguf", MODEL)
    run = run_transfer(one_file_artifact(ArtifactFile("m.gguf", url, size=MODEL.size)), tmp_path)
    assert run.content() == MODEL.read()
    assert not run.fetched.files[0].pinned


@pytest.mark.parametrize("pin", [True, False])
def test_a_large_file_arrives_over_several_connections_and_each_byte_once(origin, tmp_path, four_connections, pin):
    model = gguf_pattern(52 * MIB + 777, seed=2)  # the first request of each connection is for 16 MiB
    origin.limit(per_connection_bps=30e6)
    url = origin.serve("m.gguf", model)
    run = run_transfer(pinned_artifact(url, model) if pin else unpinned_artifact(url), tmp_path)
    assert run.content() == model.read()
    assert run.fetched.files[0].sha256 == model.sha256()
    assert origin.peak_connections == 4
    assert origin.sent("m.gguf") == model.size


def test_the_number_of_connections_grows_by_itself_where_each_is_slow(origin, tmp_path):
    model = gguf_pattern(22 * MIB, seed=3)
    origin.limit(per_connection_bps=15e6)
    run = run_transfer(pinned_artifact(origin.serve("m.gguf", model), model), tmp_path)
    assert run.content() == model.read()
    assert origin.peak_connections > 1
    assert origin.sent("m.gguf") == model.size


def test_a_job_never_has_more_connections_to_a_host_than_all_jobs_may_have(origin, tmp_path, four_connections):
    model = gguf_pattern(52 * MIB, seed=3)
    origin.limit(per_connection_bps=60e6)
    shared = SharedLimits(HostLimits(connections_max=2), TokenBucket())
    run = run_transfer(pinned_artifact(origin.serve("m.gguf", model), model), tmp_path, shared=shared)
    assert run.content() == model.read()
    assert origin.peak_connections == 2
    assert all(shared.hosts.acquire(origin.address) for _ in range(2)), "the places are free again"


@pytest.mark.parametrize("pin", [True, False])
def test_a_host_that_caps_its_answers_is_asked_again_for_the_rest(origin, tmp_path, pin):
    url = origin.serve("m.gguf", MODEL, faults=[CappedRange(most=500_000)])
    run = run_transfer(pinned_artifact(url, MODEL) if pin else unpinned_artifact(url), tmp_path)
    assert run.content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size
    assert run.notes == []


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("pin", [True, False])
def test_a_file_of_unknown_length_arrives(origin, tmp_path, pin, chunked):
    url = origin.serve("m.gguf", MODEL, faults=[NoLength(chunked=chunked)])
    run = run_transfer(pinned_artifact(url, MODEL) if pin else unpinned_artifact(url), tmp_path)
    assert run.content() == MODEL.read()
    assert run.fetched.files[0].bytes == MODEL.size
    assert run.notes == [], "nothing went wrong, so nothing is reported"


@pytest.mark.parametrize("pin", [True, False])
def test_a_whole_answer_without_a_length_arrives(origin, tmp_path, pin):
    url = origin.serve("m.gguf", MODEL, faults=[IgnoreRange(), NoLength()])
    run = run_transfer(pinned_artifact(url, MODEL) if pin else unpinned_artifact(url), tmp_path)
    assert run.content() == MODEL.read()
    assert run.note_kinds == ([] if pin else ["again"]), "an answer that may have been cut short is requested once more"


@pytest.mark.parametrize("size", [1, 15, 16, 17])
def test_a_file_shorter_than_the_check_of_its_format_arrives(origin, tmp_path, size):
    content = Bytes(b"x" * size)
    run = run_transfer(unpinned_artifact(origin.serve("a.txt", content), "a.txt"), tmp_path)
    assert run.content() == content.data


# Empty files ---------------------------------------------------------------------------------------------------------


def test_an_empty_file_of_known_size_is_created_without_a_request(origin, tmp_path):
    empty = Bytes(b"")
    run = run_transfer(pinned_artifact(origin.serve("empty.txt", empty), empty, "empty.txt"), tmp_path)
    assert run.content() == b""
    assert run.fetched.files[0].sha256 == empty.sha256()
    assert origin.requests("empty.txt") == []


def test_an_empty_file_of_unknown_size_arrives(origin, tmp_path):
    """A range of an empty file cannot be satisfied: the host answers 416, with the size."""
    run = run_transfer(unpinned_artifact(origin.serve("empty.txt", b""), "empty.txt"), tmp_path)
    assert run.content() == b""
    assert run.fetched.files[0].bytes == 0
    assert run.notes == []


def test_an_empty_file_among_others_delays_nothing(origin, tmp_path):
    files = {"a.txt": b"", "b.gguf": gguf(5000), "c.txt": b""}
    run = run_transfer(
        folder_artifact({path: origin.serve(path, content) for path, content in files.items()}), tmp_path
    )
    assert [run.content(number) for number in range(3)] == list(files.values())


# Many files ----------------------------------------------------------------------------------------------------------


def test_a_folder_arrives_with_its_sub_folders_in_the_order_of_its_files(origin, tmp_path):
    contents = {path: Bytes(data) for path, data in mlx_folder().items()}
    contents["sub/deep/model-2.safetensors"] = Bytes(safetensors_pattern(5000).read())
    contents["sub/empty.txt"] = Bytes(b"")
    urls = {path: origin.serve(path, content) for path, content in contents.items()}
    run = run_transfer(folder_artifact(urls, contents), tmp_path)
    assert [file.path for file in run.fetched.files] == list(contents)
    for number, (path, content) in enumerate(contents.items()):
        assert run.fetched.parts[number] == tmp_path / "files" / path
        assert run.content(number) == content.data


def test_files_are_fetched_concurrently(origin, tmp_path, four_connections):
    """A file that does not arrive does not delay the others."""
    hold = Hold(event=threading.Event())
    contents = {f"{number}.gguf": Bytes(gguf(10_000, seed=number)) for number in range(12)}
    urls = {path: origin.serve(path, content) for path, content in contents.items()}
    urls["0.gguf"] = origin.serve("0.gguf", contents["0.gguf"], faults=[hold])
    with BackgroundRun(folder_artifact(urls, contents), tmp_path) as running:
        origin.wait_for(lambda: all(origin.sent(path) == 10_000 for path in list(contents)[1:]))
        assert origin.sent("0.gguf") == 0
        hold.event.set()
        run = running.result()
    assert [run.content(number) for number in range(12)] == [content.data for content in contents.values()]


def test_ranges_that_arrive_before_the_start_of_a_file_are_not_taken_for_its_start(origin, tmp_path, four_connections):
    """The first bytes are judged by the format; those of a range in the middle are not."""
    model = gguf_pattern(20 * MIB, seed=4)  # the first connection takes 16 MiB of it
    hold = Hold(event=threading.Event(), after=0).covering(0)
    with BackgroundRun(pinned_artifact(origin.serve("m.gguf", model, faults=[hold]), model), tmp_path) as running:
        origin.wait_for(lambda: origin.sent("m.gguf") == 4 * MIB)
        hold.event.set()
        run = running.result()
    assert run.content() == model.read()
    assert run.notes == []


# The Hub -------------------------------------------------------------------------------------------------------------


def at_hub(hub, **changed):
    return quick(hub_endpoint=hub.endpoint, **changed)


def hub_url(repo, path, revision="main"):
    return f"https://huggingface.co/{repo}/resolve/{revision}/{path}"


def test_a_large_file_of_the_hub_is_checked_against_the_hubs_digest(hub, tmp_path):
    hub.add("org/model", "m.gguf", MODEL)
    run = run_transfer(unpinned_artifact(hub_url("org/model", "m.gguf")), tmp_path, options=at_hub(hub))
    assert run.content() == MODEL.read()
    assert run.fetched.files[0].pinned
    assert run.progress[-1].files[0].expected == MODEL.sha256()
    assert hub.sent("org/model", "m.gguf") == MODEL.size


def test_an_unpinned_file_of_the_hub_continues_at_the_cdn_without_asking_the_hub_again(hub, tmp_path):
    """The Hub's first answer identifies the bytes that the CDN sends later."""
    hub.add("org/model", "m.gguf", MODEL)
    hub.break_cdn(CappedRange(most=500_000))
    options = at_hub(hub, connections_per_host=1)
    run = run_transfer(unpinned_artifact(hub_url("org/model", "m.gguf")), tmp_path, options=options)
    assert run.content() == MODEL.read()
    assert run.fetched.files[0].pinned
    assert len(hub.front.requests()) == 1
    assert len(hub.cdn.requests()) == 7
    assert hub.sent("org/model", "m.gguf") == MODEL.size
    assert run.notes == []


def test_a_small_file_of_the_hub_is_checked_against_its_git_sha1(hub, tmp_path):
    content = Bytes(b'{"model_type": "llama"}')
    hub.add("org/model", "config.json", content, lfs=False)
    run = run_transfer(
        unpinned_artifact(hub_url("org/model", "config.json"), "config.json"), tmp_path, options=at_hub(hub)
    )
    assert run.content() == content.data
    assert run.fetched.files[0].pinned
    assert run.progress[-1].files[0].identity == f"git:{content.git_sha1()}"


def test_a_catalogs_git_sha1_pins_a_small_file(origin, tmp_path):
    content = Bytes(b"{}\n")
    file = ArtifactFile("config.json", origin.serve("config.json", content), 3, None, content.git_sha1())
    run = run_transfer(one_file_artifact(file), tmp_path)
    assert run.content() == content.data
    assert run.fetched.files[0].pinned


def test_a_folder_of_the_hub_arrives(hub, tmp_path):
    contents = {path: Bytes(data) for path, data in mlx_folder().items()}
    for path, content in contents.items():
        hub.add("org/mlx", path, content, lfs=path.endswith(".safetensors"))
    run = run_transfer(
        folder_artifact({path: hub_url("org/mlx", path) for path in contents}), tmp_path, options=at_hub(hub)
    )
    assert [run.content(number) for number in range(len(contents))] == [content.data for content in contents.values()]
    assert all(file.pinned for file in run.fetched.files)


# Progress ------------------------------------------------------------------------------------------------------------


def test_progress_is_reported_to_the_end(origin, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_module, "WATCH_S", 0.01)
    origin.limit(total_bps=6e6)
    run = run_transfer(pinned_artifact(origin.serve("m.gguf", MODEL), MODEL), tmp_path)
    first, last = run.progress[0], run.progress[-1]
    assert first.stage in (Stage.RESOLVE, Stage.DOWNLOAD)
    assert (last.stage, last.total, last.kept, last.fetched) == (Stage.VERIFY, MODEL.size, MODEL.size, MODEL.size)
    assert last.files[0].state is DigestState.VERIFIED
    assert any(report.stage is Stage.DOWNLOAD and report.rate_bps > 0 for report in run.progress)
    assert [report.kept for report in run.progress] == sorted(report.kept for report in run.progress)
    assert all(report.kept <= report.fetched for report in run.progress)


def test_an_unpinned_file_is_reported_as_unpinned(origin, tmp_path):
    run = run_transfer(unpinned_artifact(origin.serve("m.gguf", MODEL)), tmp_path)
    assert run.progress[-1].files[0].state is DigestState.UNPINNED
    assert run.progress[-1].files[0].expected is None


# The limit -----------------------------------------------------------------------------------------------------------


class TickingClock:
    """A clock that advances by half a millisecond each time it is read."""

    now = 0.0

    def __call__(self):
        self.now += 0.0005
        return self.now


def test_a_speed_limit_lets_through_its_rate_times_the_time(origin, tmp_path, four_connections):
    """Bytes counted at the origin, time by the limit's clock, which only requests for bytes read."""
    model, clock, rate = gguf_pattern(24 * MIB, seed=5), TickingClock(), 100_000_000
    url = origin.serve("m.gguf", model)
    run = run_transfer(
        pinned_artifact(url, model), tmp_path, shared=SharedLimits(HostLimits(), TokenBucket(rate, clock))
    )
    assert run.content() == model.read()
    assert origin.sent("m.gguf") == pytest.approx(rate * clock.now, rel=0.1)


# Refused or complete -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["ftp://x.example/m.gguf", "file:///etc/passwd", "http://x.example/m.gguf"])
def test_an_address_that_is_not_allowed_is_refused_before_anything_is_made(tmp_path, url):
    with pytest.raises(AddressRefused):
        run_transfer(unpinned_artifact(url), tmp_path / "partial")
    assert not (tmp_path / "partial").exists()


def test_a_finished_partial_is_verified_again_and_not_fetched_again(origin, tmp_path):
    artifact = pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)
    run_transfer(artifact, tmp_path)
    again = run_transfer(artifact, tmp_path)
    assert again.content() == MODEL.read()
    assert part_path(tmp_path).read_bytes() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size


def test_a_file_without_validators_arrives_in_one_go(origin, tmp_path):
    url = origin.serve("m.gguf", gguf_pattern(20 * MIB), faults=[NoEtag()])
    run = run_transfer(unpinned_artifact(url), tmp_path)
    assert run.content() == gguf_pattern(20 * MIB).read()
