"""device, fits, --best-fit and --require-fit: real headers from a real origin, and a profile of another machine."""

import json

import pytest
from support.answer_faults import LoginPage, Status
from support.cli import cli_app, run_due_jobs
from support.gguf_files import GgufFile, llama_8b
from support.models import folder_model, gguf, mlx_folder, one_file_model, safetensors

GIB = 2**30
# 8 layers' worth of an 8B: 32 layers x 8 heads x 256 numbers x 2 bytes = 128 KiB a token, 0.5 GiB for 4,096.
CONTEXT = GIB // 2


@pytest.fixture
def eight(tmp_path):
    return llama_8b(GgufFile(tmp_path / "eight.gguf")).read_bytes()


@pytest.fixture
def app(home, origin, monkeypatch, eight):
    """A model with three variants, of which the last would need more than any machine has, and an MLX folder."""
    url = origin.serve("/m.gguf", eight)
    big = {"sizeBytes": 10**15}
    models = [
        one_file_model("m", url, eight, option="small", filename="small.gguf"),
        one_file_model("m", url, eight, option="large", filename="large.gguf", sizeBytes=len(eight) + 1000),
        one_file_model("m", url, eight, option="huge", filename="huge.gguf", **big),
        one_file_model("alone", url, eight, option="huge", filename="alone.gguf", **big),
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
        path = tmp_path / "there.json"
        path.write_text(json.dumps({"schema": "flowhub/device/1", "device": usual_machine | machine}))
        return path

    return write


def one(cli, *arguments):
    [variant] = cli("fits", *arguments, "--json").json["variants"]
    return variant


def test_every_variant_of_a_model_is_judged_with_the_header_of_its_source(cli, app, origin, profile):
    page = cli("fits", "m", "--on", profile(), "--json").json
    assert page["schema"] == "flowhub/fits/1"
    assert page["device"]["ram_total_bytes"] == 16 * GIB
    assert [(one["option"], one["fit"]) for one in page["variants"]] == [
        ("small", "fits"),
        ("large", "fits"),
        ("huge", "too big"),
    ]
    assert {(one["context_bytes"], one["context"], one["basis"]) for one in page["variants"]} == {
        (CONTEXT, 4096, "header")
    }
    # The variants of a model are built alike: one of them is asked, for its first kilobytes.
    assert origin.begins("m.gguf") == [0]
    assert origin.sent("/m.gguf") <= 128 * 1024


def test_a_variant_has_these_keys(cli, app, profile):
    variant = one(cli, "m@small", "--on", profile())
    assert list(variant) == [
        *("ref", "option", "bytes", "fit", "why", "need_bytes", "have_bytes", "weights_bytes", "context_bytes"),
        *("overhead_bytes", "context", "basis", "note"),
    ]
    assert variant["need_bytes"] == variant["weights_bytes"] + variant["context_bytes"] + variant["overhead_bytes"]


def test_the_context_that_is_asked_is_counted(cli, app, profile):
    assert one(cli, "m@small", "--ctx", 8192, "--on", profile())["context_bytes"] == 2 * CONTEXT
    # 16 GiB less 1.5 hold 0.0004 + 0.5 + 13.5 of context: 110,592 tokens of 128 KiB, of which 90 % fit well.
    assert one(cli, "m@small", "--ctx", 90_000, "--on", profile())["fit"] == "fits"
    assert one(cli, "m@small", "--ctx", 110_000, "--on", profile())["fit"] == "tight"
    assert one(cli, "m@small", "--ctx", 120_000, "--on", profile())["fit"] == "too big"


def test_another_machines_gpu_counts(cli, app, profile):
    there = profile(gpus=[{"name": "L4", "vendor": "nvidia", "vram_total_bytes": 24 * GIB}])
    assert one(cli, "m@small", "--ctx", 150_000, "--on", there)["fit"] == "fits"
    assert one(cli, "m@small", "--ctx", 250_000, "--on", there)["fit"] == "slow"


def test_a_url_is_judged_by_its_own_header_and_the_size_that_its_source_says(cli, app, origin, profile, eight):
    variant = one(cli, origin.url("/m.gguf"), "--on", profile())
    assert (variant["context_bytes"], variant["fit"]) == (CONTEXT, "fits")
    assert variant["bytes"] == variant["weights_bytes"] == len(eight)


def test_the_weights_of_a_header_count_for_its_own_variant_alone(cli, app, origin, profile):
    urls = [origin.serve(f"/{size}.safetensors", safetensors(size)) for size in (4096, 8192)]
    app.set_models(*(one_file_model("s", url, b"", option=f"o{place}", pin=False, format="safetensors")
                 for place, url in enumerate(urls)))  # fmt: skip
    first, second = cli("fits", "s", "--on", profile(), "--json").json["variants"]
    assert (first["weights_bytes"], second["weights_bytes"]) == (4096, None)
    assert (first["bytes"], second["bytes"]) == (4096, None)


def test_an_mlx_folder_is_judged_by_its_config(cli, app, origin, profile):
    variant = one(cli, "c", "--on", profile(platform="macos", architecture="arm64"))
    assert origin.sent("/c/config.json") > 0
    assert origin.sent("/c/model.safetensors") == 0
    assert variant["fit"] == "unknown"  # this config tells no layers
    assert one(cli, "c", "--on", profile())["fit"] == "wrong platform"


def test_what_is_installed_is_read_from_the_disk_by_reference_or_name(cli, app, origin):
    app.enqueue("m@small")
    run_due_jobs(app)
    sent = origin.sent("/m.gguf")
    for ref in ("m@small", "small.gguf"):
        assert (one(cli, ref)["basis"], one(cli, ref)["context_bytes"]) == ("header", CONTEXT)
    assert origin.sent("/m.gguf") == sent


def test_what_has_come_so_far_is_read_from_the_partial(cli, app, origin, eight):
    begun = app.partial("m@small") / "files"
    begun.mkdir(parents=True)
    (begun / "small.gguf").write_bytes(eight[:4096])
    assert one(cli, "m@small")["context_bytes"] == CONTEXT
    assert origin.sent("/m.gguf") == 0
    (begun / "small.gguf").write_bytes(bytes(4096))  # its first piece has not come yet
    assert one(cli, "m@small")["context_bytes"] == CONTEXT
    assert origin.sent("/m.gguf") > 0


def test_a_file_put_there_by_hand_is_judged_too(cli, app, eight):
    app.store.mkdir(exist_ok=True)
    (app.store / "hand.gguf").write_bytes(eight)
    assert one(cli, "hand.gguf")["context_bytes"] == CONTEXT


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        (LoginPage(), "its header could not be read: its header claims to be"),
        (Status(404), "its header could not be read: its source answered 404"),
    ],
)
def test_a_header_that_cannot_be_had_leaves_it_unknown_and_says_why(cli, app, origin, profile, fault, note):
    origin.break_with(fault, path="/m.gguf")
    variant = one(cli, "m@small", "--on", profile())
    assert (variant["fit"], variant["basis"]) == ("unknown", "none")
    assert variant["note"].startswith(note)
    origin.break_with(fault, path="/m.gguf")
    assert note[5:] in cli("fits", "m@small", "--on", profile()).err


def test_a_header_that_tells_nothing_leaves_it_unknown(cli, app, profile):
    assert one(cli, "blank", "--on", profile())["why"].startswith("the memory for its context is unknown")


def test_offline_sends_no_request(cli, app, origin, profile):
    assert one(cli, "m@small", "--offline", "--on", profile())["fit"] == "unknown"
    assert origin.sent("/m.gguf") == 0


def test_what_is_nowhere_is_not_found(cli, app, profile):
    assert (cli("fits", "nosuch", "--json").status, cli("fits", "m@none", "--json").status) == (3, 3)
    assert cli("fits", "nosuch", "--json").error["code"] == "not_found"


def test_a_wrong_profile_is_a_usage_error(cli, app, profile, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<html>")
    assert cli("fits", "m", "--on", page, "--json").error["code"] == "usage"
    assert "must be a whole number" in cli("fits", "m", "--on", profile(ram_total_bytes="8 GB")).error_text
    assert cli("fits", "m", "--on", tmp_path / "none").status == 2


def test_the_screen_shows_the_arithmetic_and_what_to_do_next(cli, app, profile):
    said = cli("fits", "m", "--on", profile())
    assert said.status == 0
    assert "0.5 GiB context (4,096 tokens) + 0.5 GiB overhead" in said.out
    assert "there.json" in said.err
    assert "flowhub enqueue m --best-fit" in cli("fits", "m").err
    assert cli("fits", "m@small", "--on", profile()).out.startswith("m@small: fits: 0.01 GiB weights")


def test_device_says_what_it_found_and_how(cli, app):
    machine = cli("device", "--json").json["device"]
    assert {"gpus", "notes", "found", "metal_bytes", "ram_total_bytes", "unified_memory"} <= machine.keys()
    said = cli("device").out
    assert f"({machine['found']['ram_total_bytes']})" in said
    assert "statvfs" in said


def test_what_device_prints_is_a_profile(cli, app, tmp_path):
    (tmp_path / "here.json").write_text(cli("device", "--json").out)
    assert cli("fits", "m", "--on", tmp_path / "here.json", "--json").status == 0


# enqueue -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def known(app, eight, origin):
    """The same app, in whose catalog the parameters are said: no header is needed to judge."""
    catalog = json.loads(app.catalog.read_text())
    for model in catalog["models"]:
        model["parameters"] = "8B"
    app.catalog.write_text(json.dumps(catalog))
    return app


def test_the_best_fit_is_queued_and_printed_with_its_reason(cli, known):
    said = cli("enqueue", "m", "--best-fit")
    assert said.status == 0
    assert "m@large is the largest of 2 that fit: " in said.err
    assert [job["ref"] for job in cli("status", "--json").jobs] == ["m@large"]


def test_a_variant_that_is_named_is_taken_as_it_is(cli, known):
    assert [job["ref"] for job in cli("enqueue", "m@small", "--best-fit", "--json").jobs] == ["m@small"]


def test_without_a_word_it_stays_the_first(cli, known):
    assert [job["ref"] for job in cli("enqueue", "m", "--json").jobs] == ["m@small"]


@pytest.mark.parametrize("refs", [["m@small", "m@huge"], ["alone"], ["alone", "--best-fit"]])
def test_what_does_not_fit_is_refused_and_nothing_queued(cli, known, refs):
    said = cli("enqueue", *refs, "--require-fit", "--json")
    assert said.status == 7
    assert said.error["code"] == "does_not_fit"
    assert "GiB weights" in said.error["message"]
    assert cli("status", "--all", "--json").jobs == []


def test_an_unknown_size_is_refused_where_a_fit_is_required(cli, app):
    assert "blank@q4 may not fit (unknown)" in cli("enqueue", "blank", "--require-fit").error_text


def test_where_the_catalog_does_not_tell_the_file_s_own_header_is_asked(cli, app):
    assert [job["ref"] for job in cli("enqueue", "m", "--require-fit", "--json").jobs] == ["m@small"]


def test_the_right_ones_of_a_list_are_queued_all_the_same(cli, known, tmp_path):
    (tmp_path / "list").write_text("m@huge\nm@small\n")
    said = cli("enqueue", "-f", tmp_path / "list", "--require-fit", "--keep-going")
    assert said.status == 10
    assert "Line 1: m@huge does not fit" in said.err
    assert [job["ref"] for job in cli("status", "--json").jobs] == ["m@small"]


# A repository of the Hub ---------------------------------------------------------------------------------------------


def test_every_quant_of_a_repository_is_judged_with_the_header_of_one(cli, home, hub, monkeypatch, eight, profile):
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    hub.add("acme/m-GGUF", "m-Q4_K_M.gguf", eight)
    hub.add("acme/m-GGUF", "m-Q8_0.gguf", eight + bytes(1000))
    with cli_app(home, monkeypatch):
        page = cli("fits", "hf:acme/m-GGUF", "--on", profile(), "--json").json
        named = one(cli, "hf:acme/m-GGUF:Q8_0", "--on", profile())
        queued = cli("enqueue", "hf:acme/m-GGUF", "--best-fit", "--dry-run", "--json").json["plan"]
    assert {variant["ref"].rpartition(":")[2] for variant in page["variants"]} == {"Q4_K_M", "Q8_0"}
    assert {(variant["fit"], variant["context_bytes"]) for variant in page["variants"]} == {("fits", CONTEXT)}
    assert (named["bytes"], named["fit"]) == (len(eight) + 1000, "fits")
    assert [plan["ref"] for plan in queued] == ["hf:acme/m-GGUF:Q8_0"]  # of those that fit the one with most bytes
