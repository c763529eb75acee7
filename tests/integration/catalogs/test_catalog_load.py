"""Loading a catalog: from the shipped file, a path or a URL, or from the last good copy of a URL that fails."""

import gzip
import json
import socket
from pathlib import Path

import pytest
from support.answer_faults import Redirect, Status
from support.origin import Origin

from flowhub_jobs.catalogs.load import load_catalog
from flowhub_jobs.catalogs.loaded import LoadedCatalog
from flowhub_jobs.errors import (
    AddressRefused,
    CatalogMalformed,
    CatalogSourceMalformed,
    CatalogUnreachable,
    CatalogUnreadable,
    RedirectRefused,
)
from flowhub_jobs.net.get import check_hop


def catalog_bytes(*ids: str) -> bytes:
    models = [
        {"id": id, "name": id, "downloads": [{"id": "q4", "format": "gguf", "url": f"https://h.example/{id}.gguf"}]}
        for id in ids  # noqa: A001, the catalog's own word
    ]
    return json.dumps({"apiVersion": "v1", "models": models}).encode()


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    path = tmp_path / "shipped.json"
    path.write_bytes(catalog_bytes("shipped"))
    return path


class Loader:
    """`load_catalog` with the paths of one test."""

    def __init__(self, shipped: Path, cache: Path) -> None:
        self.shipped, self.cache = shipped, cache

    def __call__(self, source: str | None) -> LoadedCatalog:
        return load_catalog(source, shipped=self.shipped, cache_dir=self.cache)


@pytest.fixture
def load(shipped: Path, tmp_path: Path, home: Path) -> Loader:
    return Loader(shipped, tmp_path / "cache" / "catalogs")


def ids(loaded: LoadedCatalog) -> list[str]:
    return [model.id for model in loaded.catalog.models]


# A file --------------------------------------------------------------------------------------------------------------


def test_without_a_source_the_shipped_catalog_is_loaded(load: Loader) -> None:
    loaded = load(None)
    assert ids(loaded) == ["shipped"]
    assert loaded.warning is None


def test_a_path_is_loaded(load: Loader, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_bytes(catalog_bytes("own"))
    assert ids(load(str(tmp_path / "own.json"))) == ["own"]


@pytest.mark.parametrize("name", ["none.json", "none.json/under", ".", "a\0b"])
def test_the_error_of_an_unreadable_catalog_names_its_path(load: Loader, tmp_path: Path, name: str) -> None:
    with pytest.raises(CatalogUnreadable) as raised:
        load(f"{tmp_path}/{name}")
    assert str(tmp_path) in raised.value.message
    assert raised.value.exit_status == 1


def test_a_malformed_file_never_falls_back_to_the_shipped_one(load: Loader, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"apiVersion": "v1", "models": [{}]}')
    with pytest.raises(CatalogMalformed, match=r'bad\.json: model number 1, field "id": is missing'):
        load(str(tmp_path / "bad.json"))


@pytest.mark.parametrize("source", ["file:///x.json", "ftp://h/x.json", "s3://b/x.json", "file:/x.json"])
def test_a_source_of_another_scheme_is_refused(load: Loader, source: str) -> None:
    with pytest.raises(AddressRefused):
        load(source)


# A URL ---------------------------------------------------------------------------------------------------------------


def test_a_url_is_requested_each_time_and_an_unchanged_catalog_is_not_sent_again(load: Loader, origin: Origin) -> None:
    url = origin.serve("c.json", catalog_bytes("one"))
    assert ids(load(url)) == ids(load(url)) == ["one"]
    assert [request.status for request in origin.requests("c.json")] == [200, 304]


def test_a_changed_catalog_is_loaded(load: Loader, origin: Origin) -> None:
    load(origin.serve("c.json", catalog_bytes("one")))
    loaded = load(origin.serve("c.json", catalog_bytes("two")))
    assert ids(loaded) == ["two"]
    assert loaded.warning is None


def test_the_date_of_a_catalog_is_sent_back_too(load: Loader, origin: Origin) -> None:
    date = "Sat, 21 Nov 2026 10:00:00 GMT"
    url = origin.serve("c.json", catalog_bytes("one"), headers={"Last-Modified": date})
    load(url)
    load(url)
    assert origin.requests("c.json")[1].headers["if-modified-since"] == date


def test_the_last_good_copy_is_used_with_a_warning_when_the_source_is_down(load: Loader, origin: Origin) -> None:
    url = origin.serve("c.json", catalog_bytes("one"))
    load(url)
    origin.close()
    loaded = load(url)
    assert ids(loaded) == ["one"]
    assert loaded.warning is not None
    assert url in loaded.warning
    assert "last good copy is used, less than a minute old" in loaded.warning


@pytest.mark.parametrize("status", [404, 500, 403])
def test_the_last_good_copy_is_used_when_the_source_answers_badly(load: Loader, origin: Origin, status: int) -> None:
    url = origin.serve("c.json", catalog_bytes("one"))
    load(url)
    origin.serve("c.json", b"", faults=[Status(status)])
    loaded = load(url)
    assert ids(loaded) == ["one"]
    assert f"answered {status}" in (loaded.warning or "")


def test_the_last_good_copy_is_used_when_the_source_is_malformed_and_it_stays_good(
    load: Loader, origin: Origin
) -> None:
    url = origin.serve("c.json", catalog_bytes("one"))
    load(url)
    origin.serve("c.json", b"<html>log in</html>")
    for _ in range(2):
        loaded = load(url)
        assert ids(loaded) == ["one"]
        assert "is a web page" in (loaded.warning or "")


def test_a_source_that_is_down_without_a_copy_is_an_error_of_the_source(load: Loader) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and not listening: refused
        with pytest.raises(CatalogUnreachable) as raised:
            load(f"http://127.0.0.1:{closed.getsockname()[1]}/c.json")
    assert raised.value.exit_status == 5


def test_a_malformed_source_without_a_copy_is_an_error_of_the_source(load: Loader, origin: Origin) -> None:
    with pytest.raises(CatalogSourceMalformed, match="is a web page") as raised:
        load(origin.serve("c.json", b"<html>"))
    assert raised.value.exit_status == 5
    assert not list(load.cache.glob("*")) if load.cache.exists() else True


def test_the_copy_of_one_url_is_not_used_for_another(load: Loader, origin: Origin) -> None:
    load(origin.serve("c.json", catalog_bytes("one")))
    with pytest.raises(CatalogUnreachable):
        load(origin.url("other.json"))


def test_a_copy_whose_validators_are_of_another_body_is_fetched_again(load: Loader, origin: Origin) -> None:
    url = origin.serve("c.json", catalog_bytes("one"))
    load(url)
    (body,) = [path for path in load.cache.iterdir() if not path.name.endswith(".facts.json")]
    body.write_bytes(catalog_bytes("stale"))
    assert ids(load(url)) == ["one"]


def test_a_damaged_copy_is_ignored(load: Loader, origin: Origin) -> None:
    url = origin.serve("c.json", catalog_bytes("one"))
    load(url)
    for path in load.cache.iterdir():
        path.write_bytes(b"\0\0")
    assert ids(load(url)) == ["one"]


def test_a_catalog_is_loaded_with_a_warning_if_no_copy_can_be_kept(
    shipped: Path, tmp_path: Path, origin: Origin
) -> None:
    (tmp_path / "occupied").write_text("")
    url = origin.serve("c.json", catalog_bytes("one"))
    loaded = load_catalog(url, shipped=shipped, cache_dir=tmp_path / "occupied" / "cache")
    assert ids(loaded) == ["one"]
    assert "No copy of the catalog could be kept" in (loaded.warning or "")


def test_a_compressed_catalog_is_read(load: Loader, origin: Origin) -> None:
    compressed = gzip.compress(catalog_bytes("one"))
    assert ids(load(origin.serve("c.json", compressed, headers={"Content-Encoding": "gzip"}))) == ["one"]


# Redirects -----------------------------------------------------------------------------------------------------------


def test_a_redirect_on_the_same_host_is_followed(load: Loader, origin: Origin) -> None:
    origin.serve("real.json", catalog_bytes("one"))
    url = origin.serve("c.json", b"", faults=[Redirect(302, "/real.json")])
    assert ids(load(url)) == ["one"]


@pytest.mark.parametrize("target", ["http://elsewhere.example/c.json", "file:///etc/passwd", "ftp://h.example/c"])
def test_a_redirect_to_an_unsafe_address_is_not_followed(load: Loader, origin: Origin, target: str) -> None:
    url = origin.serve("c.json", b"", faults=[Redirect(302, target)])
    with pytest.raises(CatalogUnreachable, match="redirects"):
        load(url)


def test_endless_redirects_end(load: Loader, origin: Origin) -> None:
    url = origin.serve("c.json", b"", faults=[Redirect(302, "/c.json")])
    with pytest.raises(CatalogUnreachable, match="more than 5 redirects"):
        load(url)


def test_a_password_in_the_address_is_refused_and_not_repeated(load: Loader) -> None:
    with pytest.raises(AddressRefused) as raised:
        load("https://me:secret@h.example/c.json?token=abc")
    assert "secret" not in raised.value.message
    assert "abc" not in raised.value.message


@pytest.mark.parametrize("target", ["http://h.example/c.json", "http://127.0.0.1:1/c.json"])
def test_no_redirect_leads_from_https_down_to_http(target: str) -> None:
    with pytest.raises(RedirectRefused):
        check_hop("https://h.example/c.json", target)


def test_plain_http_stays_on_its_host() -> None:
    check_hop("http://h.example/c.json", "http://h.example/d.json")
    check_hop("http://h.example/c.json", "https://other.example/d.json")
    with pytest.raises(RedirectRefused):
        check_hop("http://h.example/c.json", "http://other.example/d.json")
