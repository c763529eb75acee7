"""The `show` command: the card of a catalog's model, of a repository on the Hub, and of an installed file."""

import sqlite3

import pytest
from support.answer_faults import Status
from support.cli import cli_app, run_command, run_due_jobs
from support.gguf_files import GgufFile, llama_8b
from support.hub import commit_of
from support.models import gguf, mlx_folder, one_file_model

A, B = gguf(4096, 1), gguf(8192, 2)
GGUF, MLX = "org/Tiny-GGUF", "mlx-community/Tiny-4bit"
ABOUT = {
    "publisher": "Some Labs",
    "description": "Writes and reads.",
    "tags": ["chat", "code"],
    "license": "MIT",
    "parameters": "7B",
    "contextLength": 32768,
    "homepage": "https://h.example/a",
    "hardware": {"minRamGb": 1, "recommendedRamGb": 2, "diskGb": 0.5, "platforms": ["linux", "macos"]},
    "versions": [
        {"version": "1.0", "releasedAt": "2024-01-02", "notes": "The first."},
        {"version": "1.1", "releasedAt": "2024-09-19T10:00:00Z", "notes": "Longer context."},
        {"version": "0.9"},
    ],
}
VARIANT = {"ref", "option", "format", "quantization", "bytes", "files", "fit", "why", "state"}


@pytest.fixture
def app(home, hub, origin, monkeypatch):
    for seed, path in enumerate(["Tiny-Q4_K_M.gguf", "Tiny-Q8_0.gguf", "mmproj-F16.gguf"]):
        hub.add(GGUF, path, gguf(4096 * (seed + 1), seed))
    for path, content in mlx_folder().items():
        hub.add(MLX, path, content, lfs=path.endswith(".safetensors"))
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    q4 = one_file_model("a", origin.serve("/a.gguf", A), A, quantization="Q4_0")
    q8 = one_file_model("a", origin.serve("/a8.gguf", B), B, option="q8")
    with cli_app(home, monkeypatch, q4 | ABOUT, q8 | ABOUT) as app:
        yield app


def test_a_card_has_all_details_of_the_catalog(cli, app):
    result = cli("show", "a")
    needs = "1 GiB of memory, 2 GiB recommended, 0.5 GB of disk, linux or macos"
    texts = (
        "A (a), by Some Labs",
        "Writes and reads.",
        "7B",
        "32,768 tokens",
        "MIT",
        "chat, code",
        "base",
        "q4",
        needs,
    )
    for word in (*texts, "https://h.example/a"):
        assert word in result.out
    assert "flowhub enqueue a@q8" in result.err  # both fit: the larger one is suggested


def test_versions_are_listed_newest_first_with_their_notes(cli, app):
    out = cli("show", "a").out
    positions = [
        out.index(text) for text in ("1.1 (2024-09-19): Longer context.", "1.0 (2024-01-02): The first.", "0.9")
    ]
    assert positions == sorted(positions)


def test_a_text_of_a_megabyte_is_cut_and_no_text_controls_the_terminal(home, origin, monkeypatch):
    controls = "a\u202eb\u2066c\u200bd\u2028e"
    texts = {"description": "word " * 200_000, "tags": ["t" * 1000] * 1000, "name": controls, "family": controls}
    versions = {"versions": [{"version": controls, "notes": "n" * 1000}] * 1000}
    model = one_file_model("a", origin.serve("/a.gguf", A), A, quantization="Q" * 100_000)
    with cli_app(home, monkeypatch, model | ABOUT | texts | versions):
        for verb in ("show", "search"):
            result = run_command(verb, "a", PYTHONIOENCODING="utf-8")
            assert result.status == 0
            assert len(result.out) < 12_000
            assert not set(result.out) & set("\u202e\u2066\u200b\u2028")
        assert "more characters)" in run_command("show", "a").out
        assert len(run_command("show", "a", "--json").out) > 1_000_000


def test_the_json_of_a_card_keeps_its_keys(cli, app):
    page = cli("show", "a", "--json").json
    assert set(page) == {"schema", "model", "variants", "catalog", "installed", "notes"}
    assert (page["schema"], page["catalog"], page["installed"]) == ("flowhub/model/1", "base", None)
    assert (page["model"]["contextLength"], page["model"]["hardware"]["minRamGb"]) == (32768, 1)
    assert [set(variant) for variant in page["variants"]] == [VARIANT] * 2
    first = page["variants"][0]
    assert (first["ref"], first["quantization"], first["bytes"], first["files"]) == ("a@q4", "Q4_0", 4096, 1)
    assert [variant["ref"] for variant in cli("show", "a@q8", "--json").json["variants"]] == ["a@q8"]


def test_queued_and_installed_variants_are_marked(cli, app):
    app.enqueue("a@q4")
    run_due_jobs(app)
    app.enqueue("a@q8")
    page = cli("show", "a", "--json").json
    assert {variant["ref"]: variant["state"] for variant in page["variants"]} == {"a@q4": "installed", "a@q8": "queued"}
    assert "flowhub path a@q4" in cli("show", "a").err


def test_a_repository_is_shown_with_its_variants_sizes_and_verdicts(cli, app):
    page = cli("show", f"hf:{GGUF}", "--json").json
    assert (page["schema"], page["model"]["id"], page["model"]["name"]) == ("flowhub/model/1", None, GGUF)
    assert len(page["model"]["commit"]) == 40
    assert page["model"]["companions"] == ["mmproj-F16.gguf"]
    assert [set(variant) for variant in page["variants"]] == [VARIANT] * 2
    assert {variant["quantization"]: variant["bytes"] for variant in page["variants"]} == {"Q4_K_M": 4096, "Q8_0": 8192}
    assert all(variant["fit"] and variant["why"] for variant in page["variants"])
    result = cli("show", f"hf:{GGUF}")
    assert "Q8_0" in result.out
    assert f"flowhub enqueue hf:{GGUF}:" in result.err


def test_a_repository_is_judged_by_the_header_of_one_variant(cli, home, hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    llama_bytes = llama_8b(GgufFile(tmp_path / "llama.gguf")).read_bytes()
    for quant, extra in (("Q4_K_M", 0), ("Q8_0", 1000)):
        hub.add("acme/m-GGUF", f"m-{quant}.gguf", llama_bytes + bytes(extra))
    with cli_app(home, monkeypatch):
        variants = cli("show", "hf:acme/m-GGUF", "--json").json["variants"]
        requested_paths = [request.path for request in hub.front.requests() if "/resolve/" in request.path]
        fits = cli("fits", "hf:acme/m-GGUF", "--json").json["variants"]
    assert {variant["fit"] for variant in variants} == {variant["fit"] for variant in fits}
    assert "unknown" not in {variant["fit"] for variant in variants}
    assert len(requested_paths) == 1, "the variants have one architecture"


def test_a_repository_with_unavailable_headers_is_shown_anyway(cli, app, hub):
    hub.break_front(Status(503), path=f"/{GGUF}/resolve/{commit_of(GGUF, 'main')}/Tiny-Q4_K_M.gguf")
    page = cli("show", f"hf:{GGUF}", "--json").json
    assert [variant["fit"] for variant in page["variants"]] == ["unknown"] * 2


def test_variants_downloaded_from_the_hub_are_marked_in_their_repository(cli, app):
    app.enqueue(f"hf:{GGUF}:Q8_0")

    def states() -> dict[str, str | None]:
        variants = cli("show", f"hf:{GGUF}", "--json").json["variants"]
        return {variant["quantization"]: variant["state"] for variant in variants}

    assert states() == {"Q4_K_M": None, "Q8_0": "queued"}
    run_due_jobs(app)
    app.enqueue(f"hf:{GGUF}:Q4_K_M")
    assert states() == {"Q4_K_M": "queued", "Q8_0": "installed"}


def test_a_folder_of_the_hub_counts_its_files(cli, app):
    [variant] = cli("show", f"hf:{MLX}", "--json").json["variants"]
    assert (variant["format"], variant["files"]) == ("mlx", 3)
    assert "mlx, 3 files" in cli("show", f"hf:{MLX}").out


def test_a_missing_repository_is_not_found(cli, app):
    assert cli("show", "hf:org/nothing").error_text
    assert cli("show", "hf:org/nothing", "--json").status in (3, 4, 5)


def test_an_installed_name_shows_its_path_and_its_card(cli, app):
    app.enqueue("a@q4")
    run_due_jobs(app)
    page = cli("show", "a.gguf", "--json").json
    assert (page["model"]["id"], [variant["ref"] for variant in page["variants"]]) == ("a", ["a@q4"])
    installed = page["installed"]
    assert (installed["name"], installed["path"], installed["bytes"]) == ("a.gguf", str(app.store / "a.gguf"), 4096)
    assert (len(installed["sha256"]), installed["condition"], installed["source"]) == (64, "ok", "a@q4")
    result = cli("show", "a.gguf")
    assert str(app.store / "a.gguf") in result.out
    assert "flowhub path a.gguf" in result.err


def test_a_file_that_was_added_by_hand_is_shown_with_its_known_fields(cli, app):
    app.store.mkdir(exist_ok=True)
    (app.store / "Hand Made.gguf").write_bytes(A)
    page = cli("show", "Hand Made.gguf", "--json").json
    assert (page["model"]["id"], page["catalog"]) == (None, None)
    assert (page["installed"]["condition"], page["installed"]["installed_at"]) == ("by hand", None)
    [variant] = page["variants"]
    assert (variant["state"], variant["bytes"], variant["format"]) == ("installed", 4096, "gguf")
    assert "by hand" in cli("show", "Hand Made.gguf").out


@pytest.mark.parametrize("ref", ["nothing", "nothing.gguf", "../a.gguf", "a b", "a@q9"])
def test_an_unknown_name_is_not_found(cli, app, ref):
    assert cli("show", ref).status in (2, 3)
    assert cli("show", ref).error_text


@pytest.mark.parametrize("columns", ["40", "60", "80", "120"])
@pytest.mark.parametrize("ref", ["a", f"hf:{GGUF}", f"hf:{MLX}"])
def test_a_card_is_no_wider_than_the_screen_and_cuts_nothing(app, ref, columns):
    result = run_command("show", ref, COLUMNS=columns)
    assert result.status == 0
    assert "…" not in result.out
    long = [line for line in result.out.splitlines() if len(line) > int(columns)]
    assert all(len(line.split()) <= 2 for line in long), long  # an address or a path alone on its line is not cut


@pytest.mark.parametrize("name", ["", ".", "..", ".partial", "./.partial"])
def test_the_store_itself_is_no_model(cli, app, name):
    cli("enqueue", "a")  # which makes the store
    run_due_jobs(app)
    result = cli("show", name)
    assert result.status in (2, 3)
    assert "llms" not in result.error_text


def test_a_damaged_card_in_the_index_is_rebuilt(cli, app):
    card = cli("show", "a", "--json").json
    with sqlite3.connect(app.path / "search.db") as index:
        index.execute("UPDATE cards SET artifacts = '[{}]'")
    index.close()
    assert cli("show", "a", "--json").json == card
