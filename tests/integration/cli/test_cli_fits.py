"""The `device` and `fits` commands, `--best-fit` and `--require-fit`, with real headers from a real origin."""

import json

import pytest
from support.answer_faults import LoginPage, Status
from support.cli import cli_app, run_due_jobs
from support.gguf_files import GgufFile, llama_8b
from support.models import folder_model, gguf, mlx_folder, one_file_model, safetensors

GIB = 2**30
# An 8B model: 32 layers x 8 heads x 256 numbers x 2 bytes = 128 KiB a token, 0.5 GiB for 4,096.
CONTEXT = GIB // 2


@pytest.fixture
def llama_bytes(tmp_path):
    return llama_8b(GgufFile(tmp_path / "llama.gguf")).read_bytes()


@pytest.fixture
def app(home, origin, monkeypatch, llama_bytes):
    """A model with three variants, of which the last would need more than any machine has, and an MLX folder."""
    url = origin.serve("/m.gguf", llama_bytes)
    big = {"sizeBytes": 10**15}
    models = [
        one_file_model("m", url, llama_bytes, option="small", filename="small.gguf"),
        one_file_model("m", url, llama_bytes, option="large", filename="large.gguf", sizeBytes=len(llama_bytes) + 1000),
        one_file_model("m", url, llama_bytes, option="huge", filename="huge.gguf", **big),
        one_file_model("alone", url, llama_bytes, option="huge", filename="alone.gguf", **big),
        folder_model("c", {path: (origin.serve(f"/c/{path}", raw), raw) for path, raw in mlx_folder().items()}),
        one_file_model("blank", origin.serve("/blank.gguf", gguf()), gguf()),
    ]
    with cli_app(home, monkeypatch, *models) as app:
        yield app


@pytest.fixture
def profile(tmp_path):
    def write(**machine):
        usual_machine = {
            "platform": "linux",
            "architecture": "x86_64",
            "ram_total_bytes": 16 * GIB,
            "disk_free_bytes": 10**12,
        }
        path = tmp_path / "other_machine.json"
        path.write_text(json.dumps({"schema": "flowhub/device/1", "device": usual_machine | machine}))
        return path

    return write


def variant_of(cli, *arguments):
    [variant] = cli("fits", *arguments, "--json").json["variants"]
    return variant


def test_every_variant_of_a_model_is_judged_with_the_header_of_its_source(cli, app, origin, profile):
    page = cli("fits", "m", "--on", profile(), "--json").json
    assert page["schema"] == "flowhub/fits/1"
    assert page["device"]["ram_total_bytes"] == 16 * GIB
    assert [(variant["option"], variant["fit"]) for variant in page["variants"]] == [
        ("small", "fits"),
        ("large", "fits"),
        ("huge", "too big"),
    ]
    assert {(variant["context_bytes"], variant["context"], variant["basis"]) for variant in page["variants"]} == {
        (CONTEXT, 4096, "header")
    }
    # The variants of a model have one architecture: only the first kilobytes of one variant are requested.
    assert origin.range_starts("m.gguf") == [0]
    assert origin.sent("/m.gguf") <= 128 * 1024


def test_a_variant_has_these_keys(cli, app, profile):
    variant = variant_of(cli, "m@small", "--on", profile())
    assert list(variant) == [
        *("ref", "option", "bytes", "fit", "why", "need_bytes", "have_bytes", "weights_bytes", "context_bytes"),
        *("overhead_bytes", "context", "basis", "note"),
    ]
    assert variant["need_bytes"] == variant["weights_bytes"] + variant["context_bytes"] + variant["overhead_bytes"]


def test_the_requested_context_is_counted(cli, app, profile):
    assert variant_of(cli, "m@small", "--ctx", 8192, "--on", profile())["context_bytes"] == 2 * CONTEXT
    # 16 GiB less 1.5 hold 0.0004 + 0.5 + 13.5 of context: 110,592 tokens of 128 KiB, of which 90 % fit well.
    assert variant_of(cli, "m@small", "--ctx", 90_000, "--on", profile())["fit"] == "fits"
    assert variant_of(cli, "m@small", "--ctx", 110_000, "--on", profile())["fit"] == "tight"
    assert variant_of(cli, "m@small", "--ctx", 120_000, "--on", profile())["fit"] == "too big"


def test_another_machines_gpu_counts(cli, app, profile):
    other_machine = profile(gpus=[{"name": "L4", "vendor": "nvidia", "vram_total_bytes": 24 * GIB}])
    assert variant_of(cli, "m@small", "--ctx", 150_000, "--on", other_machine)["fit"] == "fits"
    assert variant_of(cli, "m@small", "--ctx", 250_000, "--on", other_machine)["fit"] == "slow"


def test_a_url_is_judged_by_its_own_header_and_the_size_from_its_source(cli, app, origin, profile, llama_bytes):
    variant = variant_of(cli, origin.url("/m.gguf"), "--on", profile())
    assert (variant["context_bytes"], variant["fit"]) == (CONTEXT, "fits")
    assert variant["bytes"] == variant["weights_bytes"] == len(llama_bytes)


def test_the_weights_of_a_header_count_for_its_own_variant_alone(cli, app, origin, profile):
    urls = [origin.serve(f"/{size}.safetensors", safetensors(size)) for size in (4096, 8192)]
    app.set_models(*(one_file_model("s", url, b"", option=f"o{index}", pin=False, format="safetensors")
                 for index, url in enumerate(urls)))  # fmt: skip
    first, second = cli("fits", "s", "--on", profile(), "--json").json["variants"]
    assert (first["weights_bytes"], second["weights_bytes"]) == (4096, None)
    assert (first["bytes"], second["bytes"]) == (4096, None)


def test_an_mlx_folder_is_judged_by_its_config(cli, app, origin, profile):
    variant = variant_of(cli, "c", "--on", profile(platform="macos", architecture="arm64"))
    assert origin.sent("/c/config.json") > 0
    assert origin.sent("/c/model.safetensors") == 0
    assert variant["fit"] == "unknown"  # this config has no number of layers
    assert variant_of(cli, "c", "--on", profile())["fit"] == "wrong platform"


def test_the_header_of_an_installed_model_is_read_from_the_disk(cli, app, origin):
    app.enqueue("m@small")
    run_due_jobs(app)
    sent = origin.sent("/m.gguf")
    for ref in ("m@small", "small.gguf"):
        assert (variant_of(cli, ref)["basis"], variant_of(cli, ref)["context_bytes"]) == ("header", CONTEXT)
    assert origin.sent("/m.gguf") == sent


def test_the_header_of_an_unfinished_download_is_read_from_the_partial(cli, app, origin, llama_bytes):
    partial_files = app.partial("m@small") / "files"
    partial_files.mkdir(parents=True)
    (partial_files / "small.gguf").write_bytes(llama_bytes[:4096])
    assert variant_of(cli, "m@small")["context_bytes"] == CONTEXT
    assert origin.sent("/m.gguf") == 0
    (partial_files / "small.gguf").write_bytes(bytes(4096))  # its first piece is not downloaded yet
    assert variant_of(cli, "m@small")["context_bytes"] == CONTEXT
    assert origin.sent("/m.gguf") > 0


def test_a_file_that_was_added_by_hand_is_judged_too(cli, app, llama_bytes):
    app.store.mkdir(exist_ok=True)
    (app.store / "hand.gguf").write_bytes(llama_bytes)
    assert variant_of(cli, "hand.gguf")["context_bytes"] == CONTEXT


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        (LoginPage(), "its header could not be read: its header claims to be"),
        (Status(404), "its header could not be read: its source answered 404"),
    ],
)
def test_without_a_readable_header_the_fit_is_unknown_and_the_note_says_why(cli, app, origin, profile, fault, note):
    origin.break_with(fault, path="/m.gguf")
    variant = variant_of(cli, "m@small", "--on", profile())
    assert (variant["fit"], variant["basis"]) == ("unknown", "none")
    assert variant["note"].startswith(note)
    origin.break_with(fault, path="/m.gguf")
    assert note[5:] in cli("fits", "m@small", "--on", profile()).err


def test_with_a_header_without_figures_the_fit_is_unknown(cli, app, profile):
    assert variant_of(cli, "blank", "--on", profile())["why"].startswith("the memory for its context is unknown")


def test_offline_sends_no_request(cli, app, origin, profile):
    assert variant_of(cli, "m@small", "--offline", "--on", profile())["fit"] == "unknown"
    assert origin.sent("/m.gguf") == 0


def test_an_unknown_model_is_not_found(cli, app, profile):
    assert (cli("fits", "nosuch", "--json").status, cli("fits", "m@none", "--json").status) == (3, 3)
    assert cli("fits", "nosuch", "--json").error["code"] == "not_found"


def test_a_wrong_profile_is_a_usage_error(cli, app, profile, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<html>")
    assert cli("fits", "m", "--on", page, "--json").error["code"] == "usage"
    assert "must be a whole number" in cli("fits", "m", "--on", profile(ram_total_bytes="8 GB")).error_text
    assert cli("fits", "m", "--on", tmp_path / "none").status == 2


def test_the_screen_shows_the_arithmetic_and_what_to_do_next(cli, app, profile):
    result = cli("fits", "m", "--on", profile())
    assert result.status == 0
    assert "0.5 GiB context (4,096 tokens) + 0.5 GiB overhead" in result.out
    assert "other_machine.json" in result.err
    assert "flowhub enqueue m --best-fit" in cli("fits", "m").err
    assert cli("fits", "m@small", "--on", profile()).out.startswith("m@small: fits: 0.01 GiB weights")


def test_device_prints_what_it_found_and_how(cli, app):
    machine = cli("device", "--json").json["device"]
    assert {"gpus", "notes", "found", "metal_bytes", "ram_total_bytes", "unified_memory"} <= machine.keys()
    output = cli("device").out
    assert f"({machine['found']['ram_total_bytes']})" in output
    assert "statvfs" in output


def test_the_output_of_device_is_a_profile(cli, app, tmp_path):
    (tmp_path / "here.json").write_text(cli("device", "--json").out)
    assert cli("fits", "m", "--on", tmp_path / "here.json", "--json").status == 0


# enqueue -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def app_with_parameters(app, llama_bytes, origin):
    """The same app with the number of parameters in its catalog: no header is needed to judge a model."""
    catalog = json.loads(app.catalog.read_text())
    for model in catalog["models"]:
        model["parameters"] = "8B"
    app.catalog.write_text(json.dumps(catalog))
    return app


def test_the_best_fit_is_queued_and_printed_with_its_reason(cli, app_with_parameters):
    result = cli("enqueue", "m", "--best-fit")
    assert result.status == 0
    assert "m@large is the largest of 2 that fit: " in result.err
    assert [job["ref"] for job in cli("status", "--json").jobs] == ["m@large"]


def test_a_variant_in_the_reference_is_queued_despite_best_fit(cli, app_with_parameters):
    assert [job["ref"] for job in cli("enqueue", "m@small", "--best-fit", "--json").jobs] == ["m@small"]


def test_without_best_fit_the_first_variant_is_queued(cli, app_with_parameters):
    assert [job["ref"] for job in cli("enqueue", "m", "--json").jobs] == ["m@small"]


@pytest.mark.parametrize("refs", [["m@small", "m@huge"], ["alone"], ["alone", "--best-fit"]])
def test_a_model_that_does_not_fit_is_refused_and_nothing_is_queued(cli, app_with_parameters, refs):
    result = cli("enqueue", *refs, "--require-fit", "--json")
    assert result.status == 7
    assert result.error["code"] == "does_not_fit"
    assert "GiB weights" in result.error["message"]
    assert cli("status", "--all", "--json").jobs == []


def test_an_unknown_size_is_refused_where_a_fit_is_required(cli, app):
    assert "blank@q4 may not fit (unknown)" in cli("enqueue", "blank", "--require-fit").error_text


def test_without_parameters_in_the_catalog_the_files_header_is_read(cli, app):
    assert [job["ref"] for job in cli("enqueue", "m", "--require-fit", "--json").jobs] == ["m@small"]


def test_keep_going_queues_the_models_of_a_list_that_fit(cli, app_with_parameters, tmp_path):
    (tmp_path / "list").write_text("m@huge\nm@small\n")
    result = cli("enqueue", "-f", tmp_path / "list", "--require-fit", "--keep-going")
    assert result.status == 10
    assert "Line 1: m@huge does not fit" in result.err
    assert [job["ref"] for job in cli("status", "--json").jobs] == ["m@small"]


# A repository of the Hub ---------------------------------------------------------------------------------------------


def test_every_quant_of_a_repository_is_judged_with_the_header_of_one(
    cli, home, hub, monkeypatch, llama_bytes, profile
):
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    hub.add("acme/m-GGUF", "m-Q4_K_M.gguf", llama_bytes)
    hub.add("acme/m-GGUF", "m-Q8_0.gguf", llama_bytes + bytes(1000))
    with cli_app(home, monkeypatch):
        page = cli("fits", "hf:acme/m-GGUF", "--on", profile(), "--json").json
        q8_variant = variant_of(cli, "hf:acme/m-GGUF:Q8_0", "--on", profile())
        plan = cli("enqueue", "hf:acme/m-GGUF", "--best-fit", "--dry-run", "--json").json["plan"]
    assert {variant["ref"].rpartition(":")[2] for variant in page["variants"]} == {"Q4_K_M", "Q8_0"}
    assert {(variant["fit"], variant["context_bytes"]) for variant in page["variants"]} == {("fits", CONTEXT)}
    assert (q8_variant["bytes"], q8_variant["fit"]) == (len(llama_bytes) + 1000, "fits")
    # Of the variants that fit, the one with the most bytes is chosen.
    assert [entry["ref"] for entry in plan] == ["hf:acme/m-GGUF:Q8_0"]
