"""Page functions: escaped text, links, figures, drawings, and the path to return to."""

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowhub_jobs.device.device_values import Device
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.attempts_and_events import Attempt
from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.operations.actions import top_priority
from flowhub_jobs.operations.library.usage import StoreState
from flowhub_jobs.placement.apps import APPS
from flowhub_jobs.units import parse_rate
from flowhub_jobs.values.enums import HubFormat, Period
from flowhub_jobs.web.pages.frame import FOLDER, files, local_path, path_of
from flowhub_jobs.web.pages.job import attempt_rows
from flowhub_jobs.web.pages.machine import device_rows
from flowhub_jobs.web.pages.naming import PROGRAMS, Name, name_of, programs_named
from flowhub_jobs.web.pages.schedule import typed_rate, typed_size
from flowhub_jobs.web.pages.schedule_view import command_for, schedule_view
from flowhub_jobs.web.pages.svg_geometry import bands, sparkline, strip
from flowhub_jobs.web.pages.text import finalize, of_total, safe_link, visible, with_commands
from flowhub_jobs.web.speed_samples import SPAN_S, RateHistory


def test_controls_and_bidi_characters_become_visible():
    assert visible("a\u202eb\x00c\u2066") == "a\ufffdb\ufffdc\ufffd"
    assert visible("line\nnext\ttab") == "line\nnext\ttab"


def test_a_long_text_is_cut():
    assert visible("x" * 10_000, 10) == "x" * 10 + "…"


def test_every_value_of_a_template_is_made_visible_and_none_is_empty():
    assert finalize("\u202e") == "\ufffd"
    assert finalize(None) == ""
    assert finalize(7) == 7


def test_commands_are_code_and_all_else_is_escaped():
    assert str(with_commands("<b> `rm <x>` end")) == "&lt;b&gt; <code>rm &lt;x&gt;</code> end"
    assert str(with_commands("one ` alone")) == "one ` alone"


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "http://example.org", "https://", "https://a@b.c", "data:x", "https://a\u202e.c", "", None],
)
def test_only_https_is_linked(url):
    assert safe_link(url) is None


def test_https_is_linked():
    assert safe_link("https://huggingface.co/a/b") == "https://huggingface.co/a/b"


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [
        (5_770_000_000, 9_000_000_000, ("5.77", "of 9.00 GB")),
        (0, 4096, ("0.00", "of 4.10 KB")),
        (7, 12, ("7", "of 12 B")),
        (610_000_000, None, ("610.0 MB", "")),
    ],
)
def test_progress_keeps_the_unit_of_its_total(done, total, shown):
    assert of_total(done, total) == shown


def test_a_job_is_named_by_the_catalog_the_repository_or_the_file():
    titles = {"m": "Model M"}
    assert name_of("m@q4", "m", "q4", HubFormat.GGUF, 1, titles) == Name("Model M", "q4 · GGUF")
    assert name_of("m@q4", "m", "q4", None, 3, {}) == Name("m", "q4 · 3 files")
    assert name_of("hf:owner/repo:Q4", None, None, HubFormat.GGUF, 1, {}) == Name("repo:Q4", "GGUF · owner on the Hub")
    assert name_of("https://h.example/x/m.gguf?a", None, None, None, 1, {}) == Name("m.gguf", "h.example")


def test_a_format_is_not_shown_twice():
    assert name_of("m@mlx", "m", "mlx", HubFormat.MLX, 1, {}).about == "mlx"


def test_a_sparkline_goes_from_left_to_right_with_zero_at_the_bottom():
    line = sparkline([(60, 0), (30, 100), (0, 0)], 60, width=60, height=22)
    assert line is not None
    assert line.points == "0.0,21.0 30.0,5.0 60.0,21.0"
    assert sparkline([(70, 1), (0, 1)], 60, width=60, height=22) is None


def test_bands_fill_at_most_the_width_and_small_ones_stay_visible():
    drawn = bands([("models", 999_999), ("partial", 1), ("none", 0)], 1_000_000)
    assert [band.kind for band in drawn] == ["models", "partial"]
    assert drawn[1].width >= 0.49
    assert drawn[-1].x + drawn[-1].width <= 100.01


def test_a_strip_has_the_kept_share_of_each_cell():
    assert strip([(0, 50), (75, 100)], 100, 4) == [1, 1, 0, 1]
    assert strip([(0, 10)], 100, 4) == [0.4, 0, 0, 0]
    assert strip([], 0, 4) == []


def test_the_history_keeps_a_minute_of_running_jobs_only():
    history = RateHistory()
    for second in range(70):
        history.record({1: second, 2: 5}, 1000.0 + second)
    samples = history.samples(1, 1069.0)
    assert samples[0] == (SPAN_S, 9.0)
    assert samples[-1] == (0.0, 69.0)
    history.record({1: 1}, 1070.0)
    assert history.samples(2, 1070.0) == []


def test_samples_close_together_are_one():
    history = RateHistory()
    history.record({1: 1}, 0.0)
    history.record({1: 2}, 0.1)
    assert history.samples(1, 0.1) == [(0.0, 2.0)]


@pytest.mark.parametrize(
    "path",
    ["//evil.example/queue", "https://evil.example/queue", "/\\evil", "javascript:x", "/api/v1/jobs", "", "/queue\n"],
)
def test_the_path_to_return_to_is_one_of_the_pages(path):
    assert local_path(path) == "/queue"


def test_the_path_to_return_to_keeps_its_query():
    assert path_of("http://127.0.0.1:1/discover?q=x") == "/discover?q=x"
    assert path_of("http://evil.example/x") == "/queue"


def test_the_top_is_above_all_others_and_never_below_zero():
    assert top_priority([]) == 0
    assert top_priority([3, -1]) == 4
    assert top_priority([-5]) == 0


def test_vendored_files_match_their_note():
    note = files()["VENDORED"].decode()
    for name, content in files().items():
        if ".min." in name:
            assert f"{name}\n" in note
            assert hashlib.sha256(content).hexdigest() in note


def test_a_page_loads_nothing_remote_and_has_no_inline_code():
    templates = [path.read_text() for path in (FOLDER / "templates").iterdir()]
    own = [content.decode() for name, content in files().items() if name in ("page.css", "page.js", "chart.js")]
    for text in (*templates, *own):
        assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//|@import|url\(\s*[\"']?http", text)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=[\"']|javascript:", text)


def test_every_program_has_a_name_as_people_write_it():
    assert set(PROGRAMS) == set(APPS)
    assert programs_named(["lm-studio", "dir:/mnt/models"]) == "LM Studio, /mnt/models"


def test_the_tries_of_an_unreachable_host_are_one_row():
    begin = datetime(2026, 11, 22, 23, tzinfo=UTC)
    ends = ["rescued", "waits", "waits", "waits", None]
    attempts = [
        Attempt(1, max(1, number), "w", at, at + timedelta(seconds=2) if end else None, end, at + timedelta(seconds=2))
        for number, (end, at) in enumerate((end, begin + timedelta(minutes=5 * n)) for n, end in enumerate(ends))
    ]
    attempts = [attempt if attempt.outcome == "rescued" else replace(attempt, number=2) for attempt in attempts]
    rows = attempt_rows(attempts, begin)
    assert [(row.number, row.outcome) for row in rows] == [
        (2, "running"),
        (2, "waits for its next try, 3 times"),
        (1, "its worker died"),
    ]
    assert rows[1].took == "6 s"
    assert (rows[0].end, rows[1].begin < rows[1].end) == ("now", True)


def test_each_of_several_stores_is_a_row_of_the_machine():
    mounted = StoreState("default", Path("/llms"), True, 5 * 10**9)
    unmounted = StoreState("cold", Path("/mnt/cold"), False, None)
    device = Device(disk_total_bytes=9 * 10**9, disk_free_bytes=5 * 10**9)
    [store_row] = [row for row in device_rows(device, [mounted]) if row.what.startswith("Store")]
    assert store_row.value == "/llms: 5.0 GB free of 9.0 GB"
    stores = [
        (row.what, row.value) for row in device_rows(device, [mounted, unmounted]) if row.what.startswith("Store")
    ]
    assert stores == [("Store default", "/llms: 5.0 GB free"), ("Store cold", "/mnt/cold: its disk is not mounted")]


@pytest.mark.parametrize(
    ("bps", "typed"),
    [(2_000_000, "2M"), (2_500_000, "2.5M"), (2_050_000, "2050K"), (500_000, "500K"), (1_234_567, "1234567")],
)
def test_the_command_of_a_schedule_sets_the_same_schedule(bps, typed):
    schedule = Schedule.parse("23:00-07:00", "mon-fri", rate=typed)
    assert command_for(schedule) == f'flowhub schedule set "23:00-07:00" --days mon-fri --rate {typed}'
    assert schedule.groups[0].rate_bps == parse_rate(typed) == bps


@pytest.mark.parametrize(
    ("windows", "hour", "outside", "css", "words"),
    [
        ("12:30-14:00", 12, "pause", "late", "runs from 12:30"),
        ("12:30-14:00", 13, "pause", "full", "runs"),
        ("12:30-14:15", 14, "500K", "early limit", "runs until 14:15"),
        ("12:15-12:45", 12, "pause", "middle", "runs for a part of it"),
        ("12:30-14:00", 11, "500K", "limit", "limited"),
        ("12:30-14:00", 11, "pause", "", "paused"),
    ],
)
def test_an_hour_partly_in_a_window_shows_which_part(windows, hour, outside, css, words):
    now = datetime(2026, 11, 30, 3, tzinfo=UTC)
    view = schedule_view(Schedule.parse(windows, outside=outside), [], [], None, [], (None, Period.MONTH), 3, None, now)
    cell = view.days[1].hours[hour]
    assert (cell.css, cell.label) == (css, f"Tue {hour}:00, {words}")


@pytest.mark.parametrize("typed", ["0", "0.000", "-1", "1e9", "two", "2M"])
def test_a_refused_number_names_the_unit_of_its_field(typed):
    with pytest.raises(UsageInvalid, match="megabytes a second"):
        typed_rate(typed)
    with pytest.raises(UsageInvalid, match="gigabytes"):
        typed_size(typed)
    assert typed_rate(" ") == typed_size("") == "off"
