"""Searching catalogs of any size: what is found, in which order, and an index that says what the catalogs say."""

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from support.examples import examples
from support.models import catalog

from flowhub_jobs.catalogs.search_filters import Filters
from flowhub_jobs.catalogs.search_reader import SCHEMA
from flowhub_jobs.device.device_values import Device
from flowhub_jobs.device.fit import fit
from flowhub_jobs.operations.search import index_update
from flowhub_jobs.operations.search.search import SORTS, SearchRequest, run_search
from flowhub_jobs.settings import Settings, load_settings
from flowhub_jobs.values.enums import Fit

MANY = 20_000
GIB = 2**30
LAPTOP = Device(platform="linux", architecture="x86_64", ram_total_bytes=8 * GIB, disk_free_bytes=10**13, disk_total_bytes=10**13)  # fmt: skip  # noqa: E501
FAMILIES = ("Qwen", "Llama", "Mistral", "Phi", "Granite")
SIZES = {"0.5B": 0.4, "1.7B": 1.2, "7B": 4.4, "14B": 9.0, "70B": 42.0}  # in GB
FORMATS = (("q4_k_m", "gguf", 1.0), ("q8_0", "gguf", 1.8), ("st", "safetensors", 3.4))


def made(number):
    """Return the model of this number: its family, size, licence, tags and date follow from the number."""
    family = FAMILIES[number % 5]
    size = list(SIZES)[number // 5 % 5]
    year, month = 2020 + number % 6, number % 12 + 1
    name = f"{family} {size} No {number}"
    return {
        "id": name.lower().replace(" ", "-").replace(".", "-"),
        "name": name,
        "publisher": f"{family} Labs",
        "family": family.lower(),
        "description": "A model for long walks." if number % 7 else "Ein Modell für Spaziergänge.",
        "tags": ["chat", "code"] if number % 2 else ["chat"],
        "license": ("Apache-2.0", "MIT", None)[number % 3],
        "parameters": size,
        "contextLength": 8192,
        "versions": [{"version": "1", "releasedAt": f"{year}-{month:02}-15"}],
        "downloads": [
            {
                "id": option,
                "format": kind,
                "quantization": option.upper(),
                "url": f"https://h.example/{number}/{option}.{kind}",
                "sizeBytes": int(SIZES[size] * factor * 10**9) + number,
            }
            for option, kind, factor in FORMATS
        ],
    }


def of_catalog(folder, *models) -> Settings:
    """Return the settings of a home beside this catalog, whose environment is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "catalog.json"
    path.write_text(json.dumps({"apiVersion": "v1", "models": list(models)}))
    return load_settings({"FLOWHUB_HOME": str(folder / "home"), "FLOWHUB_CATALOG": str(path)})


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Settings with a catalog of twenty thousand models, indexed."""
    found = of_catalog(tmp_path_factory.mktemp("many"), *map(made, range(MANY)))
    run_search(found, SearchRequest(limit=1), LAPTOP)
    return found


@pytest.fixture
def few(tmp_path):
    return of_catalog(tmp_path, *map(made, range(30)))


def ids(settings, *typed, device=LAPTOP, **wanted):
    return [model.row.id for model in run_search(settings, SearchRequest(typed, **wanted), device).models]


def filtered(settings, *typed, limit=None, **filters):
    return run_search(settings, SearchRequest(typed, Filters.typed(**filters), limit=limit), LAPTOP)


# What is found ------------------------------------------------------------------------------------------------------


def test_every_model_is_counted_and_as_many_shown_as_are_asked(many):
    found = run_search(many, SearchRequest(limit=7), LAPTOP)
    assert (found.total, len(found.models)) == (MANY, 7)
    assert [model.row.number for model in found.models] == [1, 2, 3, 4, 5, 6, 7]  # the catalog's order


def test_all_words_must_be_there_in_any_order_case_and_accents_aside(many):
    found = run_search(many, SearchRequest(("spaziergange", "PHI"), limit=20), LAPTOP)
    assert found.total == sum(number % 7 == 0 and number % 5 == 3 for number in range(MANY))
    assert {model.row.family for model in found.models} == {"phi"}


@pytest.mark.parametrize("typed", ["llama-70b-no-19921", "Llama 70B No 19921", "llama70B.no19921", "no19921 llama"])
def test_one_model_of_twenty_thousand_is_found_however_its_name_is_written(many, typed):
    found = ids(many, *typed.split(), limit=3)
    assert found[0] == "llama-70b-no-19921"


def test_a_beginning_of_a_word_is_enough(few):
    assert set(ids(few, "gran")) == {model["id"] for model in map(made, range(30)) if model["family"] == "granite"}


def test_seven_billion_comes_before_one_point_seven(few):
    found = run_search(few, SearchRequest(("7b",)), LAPTOP).models
    sizes = [model.row.parameters for model in found]
    assert sizes == sorted(sizes, reverse=True)
    assert set(sizes) == {"7B", "1.7B"}


def test_of_models_that_match_about_alike_the_newest_comes_first(tmp_path):
    alike = [made(number) | {"name": f"Orca {number}", "id": f"orca-{number}"} for number in (6, 9, 4)]
    alike[2] |= {"description": "A model for long walks by the sea."}
    distilled = made(11) | {"name": "Distilled Orca", "id": "distilled-orca"}
    undated = made(5) | {"name": "Orca 5", "id": "orca-5", "versions": []}
    others = [made(number) for number in range(20, 60)]
    found = of_catalog(tmp_path, undated, distilled, *alike, *others)
    assert ids(found, "orca") == ["orca-4", "orca-9", "orca-6", "orca-5", "distilled-orca"]


def test_the_variant_that_was_named_is_shown(few):
    assert {model.best.option for model in run_search(few, SearchRequest(("phi", "q4_k_m")), LAPTOP).models} == {
        "q4_k_m"
    }
    assert {model.best.option for model in run_search(few, SearchRequest(("phi", "safetensors")), LAPTOP).models} == {
        "st"
    }


@pytest.mark.parametrize(
    ("typed", "shown", "family"),
    [("qwne", "qwen", "qwen"), ("Grantie 0.5b", "granite 0.5b", "granite"), ("mitsral no", "mistral no", "mistral")],
)
def test_typos_are_corrected_and_the_correction_is_shown(many, typed, shown, family):
    found = run_search(many, SearchRequest((typed,), limit=5), LAPTOP)
    assert found.corrected == shown
    assert {model.row.family for model in found.models} == {family}


@pytest.mark.parametrize("typed", ["unheardofword", "***", "qwen unheardofword", "qwen llama"])
def test_what_no_model_has_is_an_empty_answer(many, typed):
    found = run_search(many, SearchRequest((typed,)), LAPTOP)
    assert (found.models, found.total, found.corrected) == ((), 0, None)


# No text is syntax --------------------------------------------------------------------------------------------------

SYNTAX = ['"', "'", '"qwen', "qwen*", "NEAR(qwen phi, 2)", "id:qwen", "^qwen", "-qwen", "qwen AND", "OR", "NOT qwen",
          "{id name}: qwen", "qwen) OR (phi", "a\0b", "\0", "%", "_", "\\", ";DROP TABLE models;--", "\udcff",
          "𐀀" * 500, "(" * 5000, "a " * 5000]  # fmt: skip


@pytest.mark.parametrize("text", SYNTAX, ids=range(len(SYNTAX)))
def test_the_syntax_of_fts5_is_text(few, text):
    run_search(few, SearchRequest((text,)), LAPTOP)
    assert run_search(few, SearchRequest(("qwen",)), LAPTOP).total == 6


@examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(typed=st.lists(st.text(max_size=40) | st.sampled_from(SYNTAX), max_size=5), sort=st.sampled_from([None, *SORTS]))
def test_no_text_ends_a_search(few, typed, sort):
    found = run_search(few, SearchRequest(tuple(typed), sort=sort), LAPTOP)
    assert len(found.models) == found.total <= 30


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=30), name=st.sampled_from(["license", "publisher"]))
def test_no_text_of_a_filter_ends_a_search(few, text, name):
    from flowhub_jobs.errors import UsageInvalid

    try:
        filters = Filters.typed(**{name: text}, tags=(text,))
    except UsageInvalid:
        return
    run_search(few, SearchRequest(filters=filters), LAPTOP)


# Filters ------------------------------------------------------------------------------------------------------------


def test_a_format_leaves_only_variants_of_that_format(many):
    found = filtered(many, format="safetensors", limit=9)
    assert found.total == MANY
    assert {variant.option for model in found.models for variant in model.variants} == {"st"}
    assert filtered(many, format="mlx").total == 0


@pytest.mark.parametrize(
    ("params", "sizes"), [("7B", {"7B"}), ("7..14B", {"7B", "14B"}), ("..2B", {"0.5B", "1.7B"}), ("20B..", {"70B"})]
)
def test_params_are_a_range(many, params, sizes):
    found = filtered(many, params=params, limit=200)
    assert found.total == MANY // 5 * len(sizes)
    assert {model.row.parameters for model in found.models} == sizes


def test_the_largest_size_leaves_only_variants_below_it(many):
    found = filtered(many, "no", max_size="2G", limit=50)
    assert found.total == MANY // 5 * 2
    assert all((variant.bytes or 0) <= 2 * 10**9 for model in found.models for variant in model.variants)


def test_variants_must_pass_all_filters_at_once(few):
    # Of 7B, the only one of at most 5 GB is a gguf.
    assert filtered(few, params="7B", max_size="5G", format="gguf").total == 5
    assert filtered(few, params="7B", max_size="5G", format="safetensors").total == 0


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"license": "apache"}, lambda n: n % 3 == 0),
        ({"license": "Apache-2.0"}, lambda n: n % 3 == 0),
        ({"license": "MIT"}, lambda n: n % 3 == 1),
        ({"license": "pache"}, lambda n: False),
        ({"tags": ("code",)}, lambda n: n % 2),
        ({"tags": ("code", "Chat")}, lambda n: n % 2),
        ({"tags": ("cod",)}, lambda n: False),
        ({"publisher": "mistral"}, lambda n: n % 5 == 2),
        ({"publisher": "labs", "tags": ("code",), "license": "mit"}, lambda n: n % 2 and n % 3 == 1),
    ],
    ids=range(9),
)
def test_license_tags_and_publisher_narrow_it(many, filters, count):
    assert filtered(many, limit=1, **filters).total == sum(bool(count(number)) for number in range(MANY))


def test_fits_leaves_what_fits_or_is_tight_on_that_machine(few):
    found = run_search(few, SearchRequest(fits=True), LAPTOP)
    assert {variant.verdict.fit for model in found.models for variant in model.variants} <= {Fit.FITS, Fit.TIGHT}
    assert {model.row.parameters for model in found.models} == {"0.5B", "1.7B", "7B"}
    assert found.total == len(found.models)
    large = replace(LAPTOP, ram_total_bytes=512 * GIB)
    assert run_search(few, SearchRequest(fits=True, limit=4), large).total == 30


def test_new_is_what_was_released_in_ninety_days_newest_first(few):
    from datetime import date

    found = run_search(few, SearchRequest(filters=Filters.typed(new_on=date(2025, 7, 1))), LAPTOP)
    dates = [model.row.released_at for model in found.models]
    assert dates == sorted(dates, reverse=True)
    assert dates
    assert min(dates) >= "2025-04-02"


# Orders -------------------------------------------------------------------------------------------------------------


def test_each_order_is_that_order(few):
    def rows(sort):
        return run_search(few, SearchRequest(sort=sort), LAPTOP).models

    assert [m.row.name.lower() for m in rows("name")] == sorted(m.row.name.lower() for m in rows("name"))
    dates = [model.row.released_at for model in rows("recent")]
    assert dates == sorted(dates, reverse=True)
    sizes = [model.best.bytes for model in rows("size")]
    assert sizes == sorted(sizes)
    ranks = [[Fit.FITS, Fit.TIGHT, Fit.SLOW, Fit.UNKNOWN, Fit.TOO_BIG].index(m.best.verdict.fit) for m in rows("fit")]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) > 1


def test_what_is_not_known_comes_last(tmp_path):
    dated, undated = made(1), {**made(2), "versions": []}
    sized, unsized = (
        made(3),
        {**made(4), "downloads": [{"id": "x", "format": "gguf", "url": "https://h.example/x.gguf"}]},
    )
    some = of_catalog(tmp_path, undated, dated, unsized, sized)
    assert ids(some, sort="recent")[-1] == undated["id"]
    assert ids(some, sort="size")[-1] == unsized["id"]
    found = run_search(some, SearchRequest(("granite",)), LAPTOP).models[0].best
    assert (found.bytes, found.verdict.fit) == (None, Fit.UNKNOWN)


def test_search_and_best_fit_name_the_same_variant(few):
    from flowhub_jobs.catalogs.schema import artifact
    from flowhub_jobs.operations.catalogs.active import catalog_in_force
    from flowhub_jobs.operations.search.model_needs import Variant, best_fit, needs_of

    machine = replace(LAPTOP, ram_total_bytes=64 * GIB)
    for model in catalog_in_force(few).catalog.models:
        found = [artifact(model, option) for option in model.downloads]
        best, _ = best_fit([Variant(one, fit(needs_of(one, model), machine)) for one in found])
        [shown] = run_search(few, SearchRequest((model.id,), limit=1), machine).models
        assert (shown.best.ref, shown.best.verdict) == (best.artifact.ref, best.verdict)


# The index ----------------------------------------------------------------------------------------------------------


def built_from(settings):
    return index_update.index_path(settings).stat().st_ino


def test_the_index_is_made_once_and_again_when_the_catalog_changes(few, tmp_path):
    assert len(ids(few)) == 30
    first = built_from(few)
    assert len(ids(few)) == 30
    assert built_from(few) == first
    of_catalog(tmp_path, made(1))
    assert ids(few) == [made(1)["id"]]
    assert built_from(few) != first


def test_an_imported_catalog_is_found_as_long_as_it_is_there(few, tmp_path):
    from flowhub_jobs.operations.catalogs.imports import import_catalog

    other = tmp_path / "other.json"
    other.write_text(json.dumps({"apiVersion": "v1", "models": [{**made(99), "id": "newcomer", "name": "Newcomer"}]}))
    assert ids(few, "newcomer") == []
    import_catalog(few, str(other), name="mine")
    [model] = run_search(few, SearchRequest(("newcomer",)), LAPTOP).models
    assert (model.row.id, model.row.catalog) == ("newcomer", "mine")
    assert {one.row.catalog for one in run_search(few, SearchRequest(("qwen",)), LAPTOP).models} == {"base"}
    (few.home / "catalogs" / "overlays" / "mine.json").unlink()
    assert ids(few, "newcomer") == []


@pytest.mark.parametrize("damage", [b"", b"not a database", b"SQLite format 3\0" + b"\0" * 4000, None], ids=range(4))
def test_a_damaged_index_is_made_again(few, damage):
    assert len(ids(few)) == 30
    path = index_update.index_path(few)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage is None else damage)
    assert len(ids(few, "qwen")) == 6
    assert len(ids(few, "qwen", sort="size")) == 6


def test_damaged_pages_inside_the_index_are_made_again(few):
    """Of this kind is damage that shows itself only when the words are looked for."""
    assert len(ids(few)) == 30
    path = index_update.index_path(few)
    with sqlite3.connect(path) as index:
        (page,) = index.execute("PRAGMA page_size").fetchone()
        sound = {root for (root,) in index.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = 'about'")}
    index.close()
    whole = path.read_bytes()
    pages = [whole[start : start + page] for start in range(0, len(whole), page)]
    path.write_bytes(b"".join(p if n == 1 or n in sound else b"\xff" * page for n, p in enumerate(pages, start=1)))
    spoilt = built_from(few)
    assert len(ids(few, "qwen")) == 6
    assert built_from(few) != spoilt


def test_an_index_of_another_version_is_made_again(few):
    ids(few)
    with sqlite3.connect(index_update.index_path(few)) as index:
        index.execute("UPDATE about SET value = '0' WHERE name = 'schema'")
    index.close()
    assert len(ids(few)) == 30
    with sqlite3.connect(index_update.index_path(few)) as index:
        assert index.execute("SELECT value FROM about WHERE name = 'schema'").fetchone() == (str(SCHEMA),)
    index.close()


@pytest.mark.parametrize("way", ["file-for-home", "folder-for-index"])
def test_an_index_that_cannot_be_kept_is_in_memory_with_a_warning(few, way):
    if way == "file-for-home":
        few.home.write_text("")
    else:
        index_update.index_path(few).mkdir(parents=True)
    found = run_search(few, SearchRequest(("qwen",)), LAPTOP)
    assert found.total == 6
    assert "in memory" in found.warnings[-1]
    assert not list(few.home.parent.rglob(".search-*"))


def test_a_home_that_may_only_be_read_is_searched_with_the_index_it_has(few):
    ids(few)
    first = built_from(few)
    index_update.index_path(few).chmod(0o400)
    few.home.chmod(0o500)
    try:
        assert len(ids(few, "qwen")) == 6
        assert built_from(few) == first
    finally:
        few.home.chmod(0o700)


def test_what_a_build_that_was_killed_left_is_removed_when_it_is_old(few):
    import os

    few.home.mkdir(parents=True)
    old, fresh = few.home / ".search-old", few.home / ".search-fresh"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    ids(few)
    assert (old.exists(), fresh.exists()) == (False, True)  # a fresh one may be another's, who builds now


def test_processes_that_build_at_once_all_answer_and_leave_one_index(few, tmp_path):
    ask = (
        "from flowhub_jobs.operations.search.search import SearchRequest, run_search;"
        "from flowhub_jobs.settings import load_settings;"
        "print(run_search(load_settings(), SearchRequest(('qwen',))).total)"
    )
    environ = {"FLOWHUB_HOME": str(few.home), "FLOWHUB_CATALOG": str(few.catalog), "PYTHONPATH": ":".join(sys.path)}
    started = [subprocess.Popen([sys.executable, "-c", ask], env=environ, stdout=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate()[0].strip() for process in started] == [b"6"] * 4
    assert [path.name for path in few.home.iterdir()] == ["search.db"]


# A catalog at a URL -------------------------------------------------------------------------------------------------


@pytest.fixture
def remote(home, origin):
    body = json.dumps(catalog(*map(made, range(5)))).encode()
    return load_settings(catalog=origin.serve("/catalog.json", body))


def asked(origin):
    return len([request for request in origin.requests() if request.path == "/catalog.json"])


def test_the_source_of_a_catalog_is_not_asked_twice_within_the_hour(remote, origin):
    assert len(ids(remote)) == 5
    before = asked(origin)
    assert len(ids(remote, "qwen")) == 1
    assert asked(origin) == before


def test_after_an_hour_the_source_is_asked_and_what_changed_is_found(remote, origin):
    ids(remote)
    _age_copy(remote)
    origin.serve("/catalog.json", json.dumps(catalog(made(7))).encode())
    assert ids(remote) == [made(7)["id"]]


def test_a_source_that_is_gone_leaves_the_kept_copy_with_a_warning(remote, origin):
    ids(remote)
    _age_copy(remote)
    origin.remove("/catalog.json")
    found = run_search(remote, SearchRequest(("qwen",)), LAPTOP)
    assert found.total == 1
    assert "last good copy" in found.warnings[0]


def _age_copy(remote):
    [facts] = (remote.home / "catalogs").glob("*.facts.json")
    known = json.loads(facts.read_text())
    facts.write_text(json.dumps(known | {"checked_at": "2020-01-01T00:00:00+00:00"}))
