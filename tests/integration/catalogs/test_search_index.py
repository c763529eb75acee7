"""Search over catalogs of any size: the matches, their order, and an index that agrees with the catalogs."""

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

MODEL_COUNT = 20_000
GIB = 2**30
LAPTOP = Device(platform="linux", architecture="x86_64", ram_total_bytes=8 * GIB, disk_free_bytes=10**13, disk_total_bytes=10**13)  # fmt: skip  # noqa: E501
FAMILIES = ("Qwen", "Llama", "Mistral", "Phi", "Granite")
SIZES = {"0.5B": 0.4, "1.7B": 1.2, "7B": 4.4, "14B": 9.0, "70B": 42.0}  # in GB
FORMATS = (("q4_k_m", "gguf", 1.0), ("q8_0", "gguf", 1.8), ("st", "safetensors", 3.4))


def entry(number):
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


def settings_with(folder, *models) -> Settings:
    """Return the settings of a home next to a catalog with these models; the environment is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "catalog.json"
    path.write_text(json.dumps({"apiVersion": "v1", "models": list(models)}))
    return load_settings({"FLOWHUB_HOME": str(folder / "home"), "FLOWHUB_CATALOG": str(path)})


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Settings of a home whose catalog has twenty thousand models, indexed."""
    settings = settings_with(tmp_path_factory.mktemp("large"), *map(entry, range(MODEL_COUNT)))
    run_search(settings, SearchRequest(limit=1), LAPTOP)
    return settings


@pytest.fixture
def small(tmp_path):
    return settings_with(tmp_path, *map(entry, range(30)))


def ids(settings, *typed, device=LAPTOP, **options):
    return [model.row.id for model in run_search(settings, SearchRequest(typed, **options), device).models]


def filtered(settings, *typed, limit=None, **filters):
    return run_search(settings, SearchRequest(typed, Filters.typed(**filters), limit=limit), LAPTOP)


# Matches -------------------------------------------------------------------------------------------------------------


def test_all_models_are_counted_and_as_many_shown_as_the_limit(large):
    result = run_search(large, SearchRequest(limit=7), LAPTOP)
    assert (result.total, len(result.models)) == (MODEL_COUNT, 7)
    assert [model.row.number for model in result.models] == [1, 2, 3, 4, 5, 6, 7]  # the catalog's order


def test_all_words_must_be_there_in_any_order_case_and_accents_aside(large):
    result = run_search(large, SearchRequest(("spaziergange", "PHI"), limit=20), LAPTOP)
    assert result.total == sum(number % 7 == 0 and number % 5 == 3 for number in range(MODEL_COUNT))
    assert {model.row.family for model in result.models} == {"phi"}


@pytest.mark.parametrize("typed", ["llama-70b-no-19921", "Llama 70B No 19921", "llama70B.no19921", "no19921 llama"])
def test_one_model_of_twenty_thousand_is_found_by_each_spelling_of_its_name(large, typed):
    matches = ids(large, *typed.split(), limit=3)
    assert matches[0] == "llama-70b-no-19921"


def test_the_beginning_of_a_word_matches(small):
    assert set(ids(small, "gran")) == {model["id"] for model in map(entry, range(30)) if model["family"] == "granite"}


def test_seven_billion_comes_before_one_point_seven(small):
    models = run_search(small, SearchRequest(("7b",)), LAPTOP).models
    sizes = [model.row.parameters for model in models]
    assert sizes == sorted(sizes, reverse=True)
    assert set(sizes) == {"7B", "1.7B"}


def test_of_models_that_match_equally_well_the_newest_comes_first(tmp_path):
    matching = [entry(number) | {"name": f"Orca {number}", "id": f"orca-{number}"} for number in (6, 9, 4)]
    matching[2] |= {"description": "A model for long walks by the sea."}
    distilled = entry(11) | {"name": "Distilled Orca", "id": "distilled-orca"}
    undated = entry(5) | {"name": "Orca 5", "id": "orca-5", "versions": []}
    others = [entry(number) for number in range(20, 60)]
    settings = settings_with(tmp_path, undated, distilled, *matching, *others)
    assert ids(settings, "orca") == ["orca-4", "orca-9", "orca-6", "orca-5", "distilled-orca"]


def test_the_variant_that_was_named_is_shown(small):
    assert {model.best.option for model in run_search(small, SearchRequest(("phi", "q4_k_m")), LAPTOP).models} == {
        "q4_k_m"
    }
    assert {model.best.option for model in run_search(small, SearchRequest(("phi", "safetensors")), LAPTOP).models} == {
        "st"
    }


@pytest.mark.parametrize(
    ("typed", "corrected", "family"),
    [("qwne", "qwen", "qwen"), ("Grantie 0.5b", "granite 0.5b", "granite"), ("mitsral no", "mistral no", "mistral")],
)
def test_typos_are_corrected_and_the_correction_is_shown(large, typed, corrected, family):
    result = run_search(large, SearchRequest((typed,), limit=5), LAPTOP)
    assert result.corrected == corrected
    assert {model.row.family for model in result.models} == {family}


@pytest.mark.parametrize("typed", ["unheardofword", "***", "qwen unheardofword", "qwen llama"])
def test_words_that_no_model_has_give_an_empty_result(large, typed):
    result = run_search(large, SearchRequest((typed,)), LAPTOP)
    assert (result.models, result.total, result.corrected) == ((), 0, None)


# No text is syntax ---------------------------------------------------------------------------------------------------

SYNTAX = ['"', "'", '"qwen', "qwen*", "NEAR(qwen phi, 2)", "id:qwen", "^qwen", "-qwen", "qwen AND", "OR", "NOT qwen",
          "{id name}: qwen", "qwen) OR (phi", "a\0b", "\0", "%", "_", "\\", ";DROP TABLE models;--", "\udcff",
          "𐀀" * 500, "(" * 5000, "a " * 5000]  # fmt: skip


@pytest.mark.parametrize("text", SYNTAX, ids=range(len(SYNTAX)))
def test_the_syntax_of_fts5_is_text(small, text):
    run_search(small, SearchRequest((text,)), LAPTOP)
    assert run_search(small, SearchRequest(("qwen",)), LAPTOP).total == 6


@examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(typed=st.lists(st.text(max_size=40) | st.sampled_from(SYNTAX), max_size=5), sort=st.sampled_from([None, *SORTS]))
def test_no_text_makes_a_search_fail(small, typed, sort):
    result = run_search(small, SearchRequest(tuple(typed), sort=sort), LAPTOP)
    assert len(result.models) == result.total <= 30


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=30), name=st.sampled_from(["license", "publisher"]))
def test_no_text_of_a_filter_makes_a_search_fail(small, text, name):
    from flowhub_jobs.errors import UsageInvalid

    try:
        filters = Filters.typed(**{name: text}, tags=(text,))
    except UsageInvalid:
        return
    run_search(small, SearchRequest(filters=filters), LAPTOP)


# Filters -------------------------------------------------------------------------------------------------------------


def test_a_format_leaves_only_variants_of_that_format(large):
    result = filtered(large, format="safetensors", limit=9)
    assert result.total == MODEL_COUNT
    assert {variant.option for model in result.models for variant in model.variants} == {"st"}
    assert filtered(large, format="mlx").total == 0


@pytest.mark.parametrize(
    ("params", "sizes"), [("7B", {"7B"}), ("7..14B", {"7B", "14B"}), ("..2B", {"0.5B", "1.7B"}), ("20B..", {"70B"})]
)
def test_params_are_a_range(large, params, sizes):
    result = filtered(large, params=params, limit=200)
    assert result.total == MODEL_COUNT // 5 * len(sizes)
    assert {model.row.parameters for model in result.models} == sizes


def test_the_largest_size_leaves_only_variants_below_it(large):
    result = filtered(large, "no", max_size="2G", limit=50)
    assert result.total == MODEL_COUNT // 5 * 2
    assert all((variant.bytes or 0) <= 2 * 10**9 for model in result.models for variant in model.variants)


def test_variants_must_pass_all_filters_at_once(small):
    # The only variant of a 7B model with at most 5 GB is a GGUF file.
    assert filtered(small, params="7B", max_size="5G", format="gguf").total == 5
    assert filtered(small, params="7B", max_size="5G", format="safetensors").total == 0


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
def test_license_tags_and_publisher_narrow_the_result(large, filters, count):
    assert filtered(large, limit=1, **filters).total == sum(bool(count(number)) for number in range(MODEL_COUNT))


def test_fits_leaves_variants_that_fit_or_are_tight_on_that_machine(small):
    result = run_search(small, SearchRequest(fits=True), LAPTOP)
    assert {variant.verdict.fit for model in result.models for variant in model.variants} <= {Fit.FITS, Fit.TIGHT}
    assert {model.row.parameters for model in result.models} == {"0.5B", "1.7B", "7B"}
    assert result.total == len(result.models)
    server = replace(LAPTOP, ram_total_bytes=512 * GIB)
    assert run_search(small, SearchRequest(fits=True, limit=4), server).total == 30


def test_new_leaves_models_released_within_ninety_days_newest_first(small):
    from datetime import date

    result = run_search(small, SearchRequest(filters=Filters.typed(new_on=date(2025, 7, 1))), LAPTOP)
    dates = [model.row.released_at for model in result.models]
    assert dates == sorted(dates, reverse=True)
    assert dates
    assert min(dates) >= "2025-04-02"


# Orders --------------------------------------------------------------------------------------------------------------


def test_results_are_in_each_order_that_can_be_requested(small):
    def rows(sort):
        return run_search(small, SearchRequest(sort=sort), LAPTOP).models

    assert [m.row.name.lower() for m in rows("name")] == sorted(m.row.name.lower() for m in rows("name"))
    dates = [model.row.released_at for model in rows("recent")]
    assert dates == sorted(dates, reverse=True)
    sizes = [model.best.bytes for model in rows("size")]
    assert sizes == sorted(sizes)
    ranks = [[Fit.FITS, Fit.TIGHT, Fit.SLOW, Fit.UNKNOWN, Fit.TOO_BIG].index(m.best.verdict.fit) for m in rows("fit")]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) > 1


def test_models_with_an_unknown_date_or_size_come_last(tmp_path):
    dated, undated = entry(1), {**entry(2), "versions": []}
    sized, unsized = (
        entry(3),
        {**entry(4), "downloads": [{"id": "x", "format": "gguf", "url": "https://h.example/x.gguf"}]},
    )
    settings = settings_with(tmp_path, undated, dated, unsized, sized)
    assert ids(settings, sort="recent")[-1] == undated["id"]
    assert ids(settings, sort="size")[-1] == unsized["id"]
    best = run_search(settings, SearchRequest(("granite",)), LAPTOP).models[0].best
    assert (best.bytes, best.verdict.fit) == (None, Fit.UNKNOWN)


def test_search_and_best_fit_name_the_same_variant(small):
    from flowhub_jobs.catalogs.schema import artifact
    from flowhub_jobs.operations.catalogs.active import catalog_in_force
    from flowhub_jobs.operations.search.model_needs import Variant, best_fit, needs_of

    machine = replace(LAPTOP, ram_total_bytes=64 * GIB)
    for model in catalog_in_force(small).catalog.models:
        artifacts = [artifact(model, option) for option in model.downloads]
        variants = [Variant(candidate, fit(needs_of(candidate, model), machine)) for candidate in artifacts]
        best, _ = best_fit(variants)
        [shown] = run_search(small, SearchRequest((model.id,), limit=1), machine).models
        assert (shown.best.ref, shown.best.verdict) == (best.artifact.ref, best.verdict)


# The index -----------------------------------------------------------------------------------------------------------


def index_inode(settings):
    return index_update.index_path(settings).stat().st_ino


def test_the_index_is_made_once_and_again_when_the_catalog_changes(small, tmp_path):
    assert len(ids(small)) == 30
    first = index_inode(small)
    assert len(ids(small)) == 30
    assert index_inode(small) == first
    settings_with(tmp_path, entry(1))
    assert ids(small) == [entry(1)["id"]]
    assert index_inode(small) != first


def test_an_imported_catalog_is_found_as_long_as_it_is_there(small, tmp_path):
    from flowhub_jobs.operations.catalogs.imports import import_catalog

    other = tmp_path / "other.json"
    newcomer = entry(99) | {"id": "newcomer", "name": "Newcomer"}
    other.write_text(json.dumps({"apiVersion": "v1", "models": [newcomer]}))
    assert ids(small, "newcomer") == []
    import_catalog(small, str(other), name="mine")
    [model] = run_search(small, SearchRequest(("newcomer",)), LAPTOP).models
    assert (model.row.id, model.row.catalog) == ("newcomer", "mine")
    assert {match.row.catalog for match in run_search(small, SearchRequest(("qwen",)), LAPTOP).models} == {"base"}
    (small.home / "catalogs" / "overlays" / "mine.json").unlink()
    assert ids(small, "newcomer") == []


@pytest.mark.parametrize("damage", [b"", b"not a database", b"SQLite format 3\0" + b"\0" * 4000, None], ids=range(4))
def test_a_damaged_index_is_made_again(small, damage):
    assert len(ids(small)) == 30
    path = index_update.index_path(small)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage is None else damage)
    assert len(ids(small, "qwen")) == 6
    assert len(ids(small, "qwen", sort="size")) == 6


def test_damaged_pages_inside_the_index_are_made_again(small):
    """Such damage shows only when a query reads the full-text index."""
    assert len(ids(small)) == 30
    path = index_update.index_path(small)
    with sqlite3.connect(path) as index:
        (page_size,) = index.execute("PRAGMA page_size").fetchone()
        intact = {root for (root,) in index.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = 'about'")}
    index.close()
    content = path.read_bytes()
    pages = [content[start : start + page_size] for start in range(0, len(content), page_size)]
    path.write_bytes(
        b"".join(p if n == 1 or n in intact else b"\xff" * page_size for n, p in enumerate(pages, start=1))
    )
    damaged = index_inode(small)
    assert len(ids(small, "qwen")) == 6
    assert index_inode(small) != damaged


def test_an_index_of_another_version_is_made_again(small):
    ids(small)
    with sqlite3.connect(index_update.index_path(small)) as index:
        index.execute("UPDATE about SET value = '0' WHERE name = 'schema'")
    index.close()
    assert len(ids(small)) == 30
    with sqlite3.connect(index_update.index_path(small)) as index:
        assert index.execute("SELECT value FROM about WHERE name = 'schema'").fetchone() == (str(SCHEMA),)
    index.close()


@pytest.mark.parametrize("obstacle", ["file-as-home", "folder-as-index"])
def test_an_index_that_cannot_be_kept_is_in_memory_with_a_warning(small, obstacle):
    if obstacle == "file-as-home":
        small.home.write_text("")
    else:
        index_update.index_path(small).mkdir(parents=True)
    result = run_search(small, SearchRequest(("qwen",)), LAPTOP)
    assert result.total == 6
    assert "in memory" in result.warnings[-1]
    assert not list(small.home.parent.rglob(".search-*"))


def test_a_home_that_may_only_be_read_is_searched_with_the_index_it_has(small):
    ids(small)
    first = index_inode(small)
    index_update.index_path(small).chmod(0o400)
    small.home.chmod(0o500)
    try:
        assert len(ids(small, "qwen")) == 6
        assert index_inode(small) == first
    finally:
        small.home.chmod(0o700)


def test_leftovers_of_a_killed_build_are_removed_when_they_are_old(small):
    import os

    small.home.mkdir(parents=True)
    old, fresh = small.home / ".search-old", small.home / ".search-fresh"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    ids(small)
    assert (old.exists(), fresh.exists()) == (False, True)  # a fresh one may belong to a process that is building


def test_processes_that_build_at_once_all_answer_and_leave_one_index(small, tmp_path):
    script = (
        "from flowhub_jobs.operations.search.search import SearchRequest, run_search;"
        "from flowhub_jobs.settings import load_settings;"
        "print(run_search(load_settings(), SearchRequest(('qwen',))).total)"
    )
    environ = {"FLOWHUB_HOME": str(small.home), "FLOWHUB_CATALOG": str(small.catalog)}
    environ["PYTHONPATH"] = ":".join(sys.path)
    processes = [
        subprocess.Popen([sys.executable, "-c", script], env=environ, stdout=subprocess.PIPE) for _ in range(4)
    ]
    assert [process.communicate()[0].strip() for process in processes] == [b"6"] * 4
    assert [path.name for path in small.home.iterdir()] == ["search.db"]


# A catalog at a URL --------------------------------------------------------------------------------------------------


@pytest.fixture
def remote(home, origin):
    body = json.dumps(catalog(*map(entry, range(5)))).encode()
    return load_settings(catalog=origin.serve("/catalog.json", body))


def catalog_requests(origin):
    return len([request for request in origin.requests() if request.path == "/catalog.json"])


def test_the_source_of_a_catalog_is_not_requested_twice_within_the_hour(remote, origin):
    assert len(ids(remote)) == 5
    before = catalog_requests(origin)
    assert len(ids(remote, "qwen")) == 1
    assert catalog_requests(origin) == before


def test_after_an_hour_the_source_is_requested_and_its_changes_are_found(remote, origin):
    ids(remote)
    _age_copy(remote)
    origin.serve("/catalog.json", json.dumps(catalog(entry(7))).encode())
    assert ids(remote) == [entry(7)["id"]]


def test_a_source_that_is_gone_leaves_the_kept_copy_with_a_warning(remote, origin):
    ids(remote)
    _age_copy(remote)
    origin.remove("/catalog.json")
    result = run_search(remote, SearchRequest(("qwen",)), LAPTOP)
    assert result.total == 1
    assert "last good copy" in result.warnings[0]


def _age_copy(remote):
    [facts] = (remote.home / "catalogs").glob("*.facts.json")
    known = json.loads(facts.read_text())
    facts.write_text(json.dumps(known | {"checked_at": "2020-01-01T00:00:00+00:00"}))
