"""Content: a log-in page instead of a model, an invalid safetensors header, a page instead of a JSON file."""

import re
from dataclasses import replace

import pytest
from lib.origin.content import Bytes
from support.fault_files import HALF, MIB, MODEL, host_of, serve_model
from support.faults import CappedRange, EarlyClose, Empty, IgnoreRange, LoginPage, NoLength, Redirect
from support.models import gguf_with_tensor, safetensors, safetensors_pattern
from support.run_fetch import (
    folder_artifact,
    journaled_bytes,
    one_file_artifact,
    run_transfer,
    stop_after,
    unpinned_artifact,
)

from flowhub_jobs.errors import CutShort, DigestMismatch, SizeMismatch, WrongContent
from flowhub_jobs.values.artifacts import ArtifactFile

# Log-in pages --------------------------------------------------------------------------------------------------------


def test_a_log_in_page_for_a_gguf_is_refused_at_its_first_bytes(origin, downloader):
    words = "m.gguf: expected gguf, but what came is a web page"
    error = downloader.assert_fails(serve_model(origin, False, LoginPage()), WrongContent, words, host_of(origin))
    assert "sign-in" in error["hint"]
    assert error["retryable"], "a captive portal's page is gone when the user has signed in"
    assert len(origin.requests()) == 10


def test_nothing_of_a_log_in_page_is_kept(origin, tmp_path):
    with pytest.raises(WrongContent):
        run_transfer(serve_model(origin, False, LoginPage()), tmp_path)
    assert journaled_bytes(tmp_path) == 0


def test_a_log_in_page_for_a_file_of_known_size_says_both_sizes(origin, downloader):
    downloader.assert_fails(
        serve_model(origin, True, LoginPage()), WrongContent, "m.gguf", host_of(origin), MODEL.size, "an error page"
    )
    assert len(origin.requests()) == 10


def test_a_log_in_page_that_goes_away_says_nothing_of_the_size(origin, downloader, pin):
    """As from a captive portal: the catalog knows the size, and is not out of date."""
    downloader.assert_succeeds(serve_model(origin, pin, LoginPage().first(3)), MODEL)


def test_a_small_answer_that_is_no_page_contradicts_the_size(origin, downloader):
    origin.serve("other", Bytes(b"GGUF" + bytes(500)))
    artifact = one_file_artifact(ArtifactFile("m.gguf", origin.url("other"), MODEL.size, MODEL.sha256()))
    downloader.assert_fails(artifact, SizeMismatch, "m.gguf", MODEL.size, 504)


def test_a_log_in_page_without_a_length_is_refused_too(origin, downloader, pin):
    downloader.assert_fails(
        serve_model(origin, pin, LoginPage(), NoLength()), WrongContent, "m.gguf: expected gguf", "a web page"
    )


def test_a_log_in_page_behind_a_redirect_is_refused(origin, downloader):
    """As a captive portal sends it."""
    origin.serve("portal", b"", faults=[LoginPage()])
    downloader.assert_fails(serve_model(origin, False, Redirect(302, "/portal")), WrongContent, "m.gguf: expected gguf")


MID = [CappedRange(most=HALF).once(), *(LoginPage().nth(n) for n in range(2, 30))]


def test_a_log_in_page_in_mid_file_is_no_part_of_it_and_costs_nothing_that_came(origin, tmp_path, pin):
    """As from an expired session, or a rate limit with status 200."""
    with pytest.raises(WrongContent, match=rf"m\.gguf: {re.escape(host_of(origin))} sends 52 bytes .* {HALF} were"):
        run_transfer(serve_model(origin, pin, *MID), tmp_path)
    assert journaled_bytes(tmp_path) == HALF


def test_a_log_in_page_in_mid_file_that_goes_away_costs_no_byte(origin, downloader, pin):
    downloader.assert_succeeds(
        serve_model(origin, pin, CappedRange(most=HALF).once(), *(LoginPage().nth(n) for n in (2, 3))), MODEL
    )
    assert [request.range for request in origin.requests()][-1] == f"bytes={HALF}-{MODEL.size - 1}"
    assert origin.sent("m.gguf") < MODEL.size + 1000


def test_a_small_file_that_took_the_place_of_another_is_a_version_of_its_own(origin, tmp_path):
    artifact = unpinned_artifact(origin.serve("m.gguf", MODEL))
    partial = stop_after(HALF, artifact, tmp_path, origin)
    small = Bytes(b"GGUF" + bytes(500))
    origin.serve("m.gguf", small)
    assert run_transfer(artifact, partial).content() == small.read()


def test_an_endless_page_is_refused_with_none_of_it_written(origin, tmp_path, pin):
    """Its first bytes refuse it, before a digest could; only a published size would refuse it as early."""
    page = Bytes(b"<!DOCTYPE html>" + b" " * (MODEL.size - 15))
    url = origin.serve("m.gguf", page)
    artifact = one_file_artifact(ArtifactFile("m.gguf", url, None, MODEL.sha256() if pin else None))
    with pytest.raises(WrongContent):
        run_transfer(artifact, tmp_path)
    assert (tmp_path / "files" / "m.gguf").stat().st_size == 0


ODD = {
    "a JSON of comments": ("notes.json", b"// a comment\n{}"),
    "a JSON in UTF-16": ("bom16.json", "{}".encode("utf-16")),
    "a JSON that is a page": ("html.json", b"<html>x</html>"),
    "a JSON that is a Git LFS pointer": ("pointer.json", b"version https://git-lfs.github.com/spec/v1\n"),
    "a GGUF of before GGUF": ("old.gguf", b"tjgg" + bytes(4096)),
    "a GGUF that is cut short": ("cut.gguf", b"GGUF\3"),
    "a safetensors whose header is larger than readers take": ("m.safetensors", b"\xff\xff\xff\x0f" + bytes(4) + b"{}"),
}


@pytest.mark.parametrize(("name", "content"), ODD.values(), ids=ODD)
def test_a_file_whose_published_digest_is_right_is_installed_whatever_its_first_bytes(
    origin, downloader, name, content
):
    body = Bytes(content)
    artifact = one_file_artifact(ArtifactFile(name, origin.serve(name, body), body.size, body.sha256()))
    downloader.assert_succeeds(artifact, body)


def test_a_typed_digest_of_what_are_no_weights_does_not_install_it(origin, tmp_path):
    """Its digest may have been computed from such a page: weights must look like weights."""
    pointer = Bytes(b"version https://git-lfs.github.com/spec/v1\n")
    file = ArtifactFile("m.gguf", origin.serve("m.gguf", pointer), None, pointer.sha256())
    typed = replace(one_file_artifact(file), model=None, option=None)
    with pytest.raises(WrongContent, match="expected gguf"):
        run_transfer(typed, tmp_path)


def test_a_typed_digest_decides_about_files_other_than_weights(origin, tmp_path):
    odd = Bytes(b"// a comment\n{}")
    file = ArtifactFile("c.json", origin.serve("c.json", odd), None, odd.sha256())
    assert run_transfer(replace(one_file_artifact(file), model=None, option=None), tmp_path).content() == odd.read()


# Cut short -----------------------------------------------------------------------------------------------------------

CUT = {"a GGUF": ("m.gguf", gguf_with_tensor()), "a safetensors": ("m.safetensors", safetensors())}


@pytest.mark.parametrize(("name", "whole"), CUT.values(), ids=CUT)
def test_an_unpinned_file_that_ends_before_its_own_header_says_is_not_installed(origin, downloader, name, whole):
    url = origin.serve(name, whole[:-1])
    error = downloader.assert_fails(
        unpinned_artifact(url, name), CutShort, name, f"ends at {len(whole) - 1} bytes", host_of(origin)
    )
    assert not error["retryable"]
    assert len(origin.requests()) == 1


@pytest.mark.parametrize(("name", "whole"), CUT.values(), ids=CUT)
def test_an_unpinned_file_that_is_as_long_as_its_header_says_is_installed(origin, downloader, name, whole):
    downloader.assert_succeeds(unpinned_artifact(origin.serve(name, whole), name), Bytes(whole))


def test_a_connection_that_closes_early_without_a_length_is_requested_again(origin, downloader):
    """Only the header shows that it ended too soon: there is no length."""
    name, whole = CUT["a GGUF"]
    cut = [EarlyClose(after=len(whole) - 1).once(), IgnoreRange(), NoLength(chunked=False)]
    downloader.assert_succeeds(unpinned_artifact(origin.serve(name, whole, faults=cut), name), Bytes(whole))


def test_a_published_digest_decides_about_a_file_shorter_than_its_header_says(origin, downloader):
    name, whole = CUT["a GGUF"]
    cut = Bytes(whole[:-1])
    downloader.assert_succeeds(
        one_file_artifact(ArtifactFile(name, origin.serve(name, cut), cut.size, cut.sha256())), cut
    )


def test_one_file_that_is_a_page_ends_the_whole_folder(origin, downloader):
    urls = {"a.json": origin.serve("a.json", b"{}"), "m.gguf": origin.serve("m.gguf", MODEL, faults=[LoginPage()])}
    downloader.assert_fails(folder_artifact(urls), WrongContent, "m.gguf: expected gguf")


# Small texts instead of a file ---------------------------------------------------------------------------------------

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 491400032\n"
DENIED = b'{"error":"Invalid username or password."}'

IN_PLACE = {
    "a Git LFS pointer for a .bin": ("m.bin", POINTER, "a Git LFS pointer"),
    "a Git LFS pointer for an archive": ("m.tar.gz", POINTER, "a Git LFS pointer"),
    "a Git LFS pointer for a name without a suffix": ("weights", POINTER, "a Git LFS pointer"),
    "an error in JSON for a .pt": ("m.pt", DENIED, "a text in JSON"),
    "an error in JSON for a zip": ("m.zip", DENIED, "a text in JSON"),
    "an error in XML for a parquet": ("m.parquet", b"<?xml version='1.0'?><Error/>", "XML"),
}


@pytest.mark.parametrize(("name", "content", "seen"), IN_PLACE.values(), ids=IN_PLACE)
def test_a_small_text_in_the_place_of_a_binary_file_is_refused(origin, downloader, name, content, seen):
    url = origin.serve(name, content)
    error = downloader.assert_fails(
        unpinned_artifact(url, name), WrongContent, f"{name}: expected ", f"what came is {seen}", host_of(origin)
    )
    assert ("/resolve/" in error["hint"]) == (content == POINTER)
    assert "10 times in a row" in error["hint"]


PROVEN = {
    "a Git LFS pointer by its own digest": ("m.bin", POINTER),
    "a .bin that is JSON": ("m.bin", DENIED),
    "a zip that is JSON": ("m.zip", DENIED),
}


@pytest.mark.parametrize("sized", [True, False], ids=["sized", "not sized"])
@pytest.mark.parametrize(("name", "content"), PROVEN.values(), ids=PROVEN)
def test_a_small_text_that_a_published_digest_names_is_installed(origin, downloader, name, content, sized):
    body = Bytes(content)
    downloader.assert_succeeds(
        one_file_artifact(ArtifactFile(name, origin.serve(name, body), body.size if sized else None, body.sha256())),
        body,
    )


# Other formats -------------------------------------------------------------------------------------------------------

NO_HEADER = {
    "a length of zero": bytes(16),
    "a length beyond all headers": b"\xff" * 8 + b"{" + b" " * 7,
    "a header that is a list": b"\x40" + bytes(7) + b"[]" * 4,
    "a page": b"<html><body>Sign in",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\n",
    "a GGUF": MODEL.read(0, 64),
}


@pytest.mark.parametrize("head", NO_HEADER.values(), ids=NO_HEADER)
def test_a_safetensors_header_that_is_none_is_refused(origin, downloader, head):
    url = origin.serve("m.safetensors", head * 1000)
    downloader.assert_fails(
        unpinned_artifact(url, "m.safetensors"), WrongContent, "m.safetensors: expected safetensors, but what came is"
    )
    assert len(origin.requests()) == 10, "a page instead of the file may be gone at the next try"


NO_GGUF = {
    "nothing": b"",
    "a safetensors file": safetensors_pattern(100_000).read(),
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64,
    "zeros": bytes(100_000),
    "three bytes": b"GGU",
}


@pytest.mark.parametrize("content", NO_GGUF.values(), ids=NO_GGUF)
def test_what_is_no_gguf_is_refused(origin, downloader, content):
    url = origin.serve("m.gguf", content)
    downloader.assert_fails(
        unpinned_artifact(url), WrongContent, "m.gguf: expected gguf, but what came is", host_of(origin)
    )


@pytest.mark.parametrize(
    "faults", [[], [IgnoreRange(), NoLength(chunked=False)]], ids=["with a size", "without a size"]
)
def test_an_empty_file_is_no_gguf_with_each_form_of_its_size(origin, downloader, faults):
    url = origin.serve("m.gguf", b"", faults=faults)
    downloader.assert_fails(
        unpinned_artifact(url), WrongContent, "m.gguf: expected gguf, but what came is an empty file", host_of(origin)
    )


NO_JSON = {"a page": b"<!DOCTYPE html><title>Sign in</title>", "a word": b"Unauthorized", "a binary": b"\x00\x01"}


@pytest.mark.parametrize("page", NO_JSON.values(), ids=NO_JSON)
def test_a_page_for_a_json_file_is_refused(origin, downloader, page):
    url = origin.serve("config.json", page * 100)
    words = "config.json: expected json, but what came is"
    downloader.assert_fails(unpinned_artifact(url, "config.json"), WrongContent, words, host_of(origin))


def test_a_file_without_a_format_is_compared_with_its_digest_only(origin, downloader):
    content, page = Bytes(b"plain text " * 100), Bytes(b"<html></html>" + b" " * 1087)
    url = origin.serve("notes.txt", page)
    artifact = one_file_artifact(ArtifactFile("notes.txt", url, content.size, content.sha256()))
    downloader.assert_fails(artifact, DigestMismatch, "notes.txt", host_of(origin), content.sha256(), page.sha256())


def test_a_good_header_with_the_rest_of_a_page_is_still_refused_by_its_digest(origin, downloader):
    wrong = Bytes(MODEL.read(0, MIB) + bytes(MODEL.size - MIB))
    artifact = one_file_artifact(ArtifactFile("m.gguf", origin.serve("m.gguf", wrong), MODEL.size, MODEL.sha256()))
    downloader.assert_fails(artifact, DigestMismatch, "m.gguf", MODEL.sha256(), wrong.sha256())


# Empty answers -------------------------------------------------------------------------------------------------------


def test_an_empty_answer_for_a_file_with_a_digest_is_tried_again(origin, downloader):
    """A CDN edge that has not fetched the file yet sends it for a moment; a wrong digest would end the job."""
    url = origin.serve("m.bin", MODEL, faults=[Empty().first(4)])
    downloader.assert_succeeds(one_file_artifact(ArtifactFile("m.bin", url, None, MODEL.sha256())), MODEL)


def test_an_answer_that_stays_empty_is_reported(origin, downloader):
    url = origin.serve("m.bin", MODEL, faults=[Empty()])
    downloader.assert_fails(
        one_file_artifact(ArtifactFile("m.bin", url, None, MODEL.sha256())), WrongContent, "m.bin", "sent an empty one"
    )
