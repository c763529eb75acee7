"""Screens as text: their layout at any width, and foreign text that cannot control the terminal."""

import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flowhub_jobs.cli import output
from flowhub_jobs.cli.app import VERBS, command
from flowhub_jobs.cli.jobs.follow import list_text
from flowhub_jobs.cli.jobs.job_table import WORDS_LEAST, progress, progress_note, short_name, table_lines
from flowhub_jobs.cli.jobs.live_view import bar, screen_lines
from flowhub_jobs.cli.prompts import confirm
from flowhub_jobs.errors import Interrupted
from flowhub_jobs.times import clock_time
from flowhub_jobs.values.enums import DigestState, HubFormat, Reason, Stage, State
from flowhub_jobs.values.jobs import Job, Wait

NOW = datetime(2026, 11, 22, 23, tzinfo=UTC)
JOB = Job(
    id=128,
    ref="qwen2-5-0-5b-instruct@q4_k_m",
    model="qwen2-5-0-5b-instruct",
    option="q4_k_m",
    format=HubFormat.GGUF,
    node="n-7f3a",
    state=State.RUNNING,
    stage=Stage.DOWNLOAD,
    reason=None,
    priority=0,
    group=None,
    attempt=1,
    bytes_total=9_001_752_960,
    bytes_done=5_771_362_304,
    bytes_fetched=5_771_362_304,
    rate_bps=22_900_000,
    eta_s=141,
    not_before=None,
    sha256_state=DigestState.RUNNING,
    target="/llms/m.gguf",
    files=(),
    created_at=NOW,
    started_at=NOW,
    finished_at=None,
    error=None,
)
BUSY = Wait("h.example answers 503.", "server_busy", "h.example")
UNREACHABLE = Wait("h.example refuses connections.", "network", "h.example")
FAULT = {"code": "source_missing", "message": "It is gone.", "hint": None, "retryable": False}


def jobs(count: int, state: State, first: int = 1) -> list[Job]:
    return [replace(JOB, id=number, state=state) for number in range(first, first + count)]


@pytest.fixture
def screen(monkeypatch):
    """Return a function that sets the width of the terminal in columns."""

    def set_columns(columns: int) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))

    return set_columns


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# Words about a job ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "22.9 MB/s, 2 min 21 s left"),
        ({"rate_bps": None, "eta_s": None}, ""),
        ({"stage": Stage.VERIFY, "rate_bps": None, "eta_s": None}, "verify"),
        ({"state": State.QUEUED, "reason": Reason.SLOTS}, "waits for a free slot"),
        ({"state": State.QUEUED, "reason": Reason.STORE_OFFLINE}, "store offline, next"),
        ({"state": State.QUEUED}, ""),
        ({"state": State.QUEUED, "reason": Reason.BACKOFF, "wait": BUSY}, "retry (h.example busy)"),
        ({"state": State.QUEUED, "reason": Reason.HOST_WAIT, "wait": UNREACHABLE}, "retry (h.example unreachable)"),
        ({"state": State.FAILED, "error": FAULT}, "source_missing"),
        ({"state": State.COMPLETED}, ""),
        ({"state": State.COMPLETED, "finished_at": NOW - timedelta(hours=3)}, "20:00"),
        ({"state": State.PAUSED}, ""),
    ],
)
def test_a_row_describes_its_job_in_a_few_words(changes, words):
    assert progress_note(replace(JOB, **changes), NOW) == words


@pytest.mark.parametrize(
    ("total", "done", "shown"),
    [(None, 0, "-"), (None, 1234, "1.2 KB"), (0, 0, "100 %"), (1000, 999, "99 %"), (5, 5, "100 %")],
)
def test_progress_is_never_rounded_up_to_all(total, done, shown):
    assert progress(replace(JOB, bytes_total=total, bytes_done=done)) == shown


# The live view -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [-1, 0, 0.001, 0.5, 0.999, 1, 2])
def test_a_bar_is_always_of_the_same_width(share):
    assert len(bar(share, 9)) == 9
    assert (bar(share, 9) == "█" * 9) == (share >= 1)


@pytest.mark.parametrize("height", [5, 40])
@pytest.mark.parametrize("width", [30, 60, 80, 120])
def test_no_line_of_the_picture_reaches_the_edge(width, height):
    listed_jobs = [*jobs(3, State.RUNNING), *jobs(3, State.QUEUED, 4), replace(JOB, state=State.FAILED, error=FAULT)]
    assert max(len(line) for line in screen_lines(listed_jobs, NOW, width, height)) < width


def test_at_eighty_columns_nothing_of_a_running_job_is_cut():
    [line] = screen_lines([JOB], NOW, 80, 24)
    assert JOB.ref in line
    assert line.endswith("22.9 MB/s, 2 min 21 s left")


@pytest.mark.parametrize("height", [5, 10, 23])
def test_the_picture_is_never_higher_than_the_screen_and_counts_what_it_leaves_out(height):
    listed_jobs = [*jobs(20, State.COMPLETED), *jobs(30, State.QUEUED, 30), *jobs(2, State.RUNNING, 70)]
    lines = screen_lines(listed_jobs, NOW, 80, height)
    assert len(lines) == height
    assert "flowhub status" in lines[-1]
    assert any(line.split()[0] == "70" for line in lines)


def test_the_picture_is_sorted_by_importance():
    listed_jobs = [
        *jobs(1, State.QUEUED, 1),
        *jobs(1, State.PAUSED, 2),
        *jobs(1, State.RUNNING, 3),
        *jobs(3, State.COMPLETED, 4),
        replace(JOB, id=7, state=State.FAILED, error=FAULT),
    ]
    numbers = [int(line.split()[0]) for line in screen_lines(listed_jobs, NOW, 80, 24)]
    assert numbers == [3, 7, 1, 2, 6, 5, 4]


def test_the_total_is_the_last_line_of_the_picture_and_counts_as_one():
    lines = screen_lines(jobs(9, State.QUEUED), NOW, 80, 5, "9 queued: 81.0 GB left")
    assert len(lines) == 5
    assert lines[-1] == "9 queued: 81.0 GB left"
    assert lines[-2] == "… and 6 more: `flowhub status`"


# Tables and prose ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_a_table_is_no_wider_than_the_screen_and_only_one_column_is_shortened(screen, columns):
    screen(columns)
    lines = output.table(
        ("JOB", "MODEL", "STATE"), [("1", "x" * 70, "queued"), ("12", "y", "running")], right=(0,), give=1
    )
    first, *_ = lines.split("\n")
    assert first.startswith("JOB  MODEL")
    assert all(len(line) <= columns for line in lines.split("\n"))
    assert "queued" in lines
    assert ("…" in lines) == (columns < 85)


def test_a_folded_table_cuts_nothing(screen):
    screen(60)
    why = "needs 5 GiB of memory, this machine has 23.5 GiB, of which 3 are free at the moment"
    lines = output.folded_table(("OPTION", "SIZE", "WHY"), [("q4_k_m", "5.0 GB", why), ("q8_0", "8.7 GB", "fits")])
    assert max(map(len, lines.split("\n"))) <= 60
    assert " ".join(word for word in lines.split() if word in why.split()) == why
    assert lines.split("\n")[-1].startswith("q8_0")


def test_into_a_pipe_nothing_is_cut(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())
    assert "x" * 500 in output.table(("A", "B"), [("x" * 500, "y")])
    assert output.fold("word " * 200).count("\n") == 0


def test_prose_is_folded_between_words_and_a_digest_stays_whole(screen):
    screen(40)
    digest = "ab" * 32
    lines = output.fold(f"what came has {digest}, which is another", "  ", "    ").split("\n")
    assert f"    {digest}," in lines
    assert lines[0] == "  what came has"


@pytest.mark.parametrize("character", ["\x1b[31m", "\x07", "\n", "\u202e", "\u200b", "\x9b", "\udcff", "\u2028"])
def test_a_character_that_controls_a_terminal_is_shown_as_a_question_mark(character):
    assert output.clean(f"a{character}b").startswith("a?")
    assert not set(output.clean(character)) & {"\x1b", "\x07", "\n", "\x9b"}
    assert output.clean(f"a{character}b") in output.table(("NAME",), [(f"a{character}b",)])


def test_names_of_any_script_are_shown_as_they_are():
    assert output.clean("模型-Größe-μ.gguf") == "模型-Größe-μ.gguf"


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_is_for_terminals_and_no_color_turns_it_off(monkeypatch, environ, coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert (output.paint("text", "31") != "text") == coloured
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert output.paint("text", "31") == "text"


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [
        ({"FORCE_COLOR": "1"}, True),
        ({"CLICOLOR_FORCE": "1"}, True),
        ({"FORCE_COLOR": "0"}, False),
        ({"FORCE_COLOR": ""}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_can_be_asked_for_in_a_pipe(monkeypatch, environ, coloured):
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert (output.paint("text", "31") != "text") == coloured


def test_a_command_in_prose_is_not_broken_over_two_lines(screen):
    screen(40)
    lines = output.fold("To remove all of it again, call `flowhub worker uninstall` once.").split("\n")
    assert any("`flowhub worker uninstall`" in line for line in lines)


def test_a_terminal_without_utf8_gets_characters_that_it_has(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    output.prepare_streams()
    output.result(f"{bar(0.53, 16)} Größe… 模型")
    assert written.getvalue() == b"#########....... Gr??e. ??\n"


# The help ------------------------------------------------------------------------------------------------------------


def test_each_verb_has_a_first_sentence_that_fits_its_line():
    for name, verb in command().commands.items():
        first = verb.help.split("\n\n")[0].replace("\n", " ").strip()
        assert first.endswith("."), name
        assert len(first) < 60, (name, len(first))
        assert verb.get_short_help_str(limit=68) == first, name


def every_verb(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield each verb and subverb, such as `schedule set`."""
    for name, verb in group.commands.items():
        yield name, verb
        yield from every_verb(verb) if hasattr(verb, "commands") else ()


def test_each_option_says_what_it_does():
    for name, verb in every_verb(command()):
        for parameter in verb.params:
            assert getattr(parameter, "help", None), (name, parameter.name)


def test_the_verbs_are_those_of_this_version():
    verbs = (
        "search show fits device catalog "
        "enqueue status wait cancel pause resume retry start priority follow unfollow "
        "worker schedule limit cap nodes report doctor db logs "
        "list path verify outdated update move rm prune pin unpin du "
        "place unplace placements adopt export import web mcp help completion"
    )
    assert set(command().commands) == set(verbs.split())
    assert [name for names in command().summaries.values() for name in names] == verbs.split()


@pytest.mark.parametrize(
    ("name", "summary"), [(name, verb.summary) for table in VERBS.values() for name, verb in table.items()]
)
def test_the_summary_of_each_verb_is_the_first_line_of_its_help(name, summary):
    """`flowhub --help` prints the table's summaries and imports no verb."""
    assert command().commands[name].help.split("\n")[0] == summary


@pytest.mark.parametrize("reason", Reason)
def test_a_job_that_waits_says_why_in_words_and_until_when(reason):
    """At 80 columns there is room for thirty characters, and a time that is cut off is useless."""
    waiting = replace(JOB, state=State.QUEUED, reason=reason, not_before=NOW + timedelta(days=2))
    words = progress_note(waiting, NOW)
    assert len(words) <= WORDS_LEAST
    if reason not in (Reason.AFTER, Reason.SLOTS):
        assert clock_time(NOW + timedelta(days=2), NOW) in words


def test_a_long_cause_takes_no_room_from_the_names_of_other_jobs(screen):
    screen(80)
    unreachable = replace(
        JOB, id=3, state=State.QUEUED, reason=Reason.HOST_WAIT, wait=UNREACHABLE, not_before=datetime.now(UTC)
    )
    lines = table_lines([replace(JOB, eta_s=439), unreachable, *jobs(1, State.COMPLETED, 4)])
    assert all(len(line) <= 80 for line in lines)
    assert "qwen2-5-0-5b-ins" in lines[1]
    assert lines[1].endswith("22.9 MB/s, 7 min left")
    assert "h.example" not in lines[2]
    screen(120)
    assert "h.example" in table_lines([unreachable])[1]


def test_a_narrow_list_of_subscriptions_has_two_lines_each_and_cuts_no_reference(screen):
    rows = [("hf:Qwen/Qwen3-8B-GGUF:Q4_K_M", "7 d", "18:50", "-", "-", "2026-12-08 02:30")]
    screen(60)
    assert list_text(rows).split("\n") == [rows[0][0], "  every 7 d, checked 18:50, next 2026-12-08 02:30"]
    screen(80)
    assert (
        list_text(rows).split("\n")[1] == "hf:Qwen/Qwen3-8B-GGUF:Q4_K_M  7 d    18:50    -        -    2026-12-08 02:30"
    )


def test_a_narrow_table_has_no_sizes_and_no_line_is_folded(screen):
    screen(60)
    lines = table_lines([JOB, *jobs(3, State.COMPLETED)])
    assert "SIZE" not in lines[0]
    assert all(len(line) <= 60 for line in lines)


def test_a_reference_that_is_too_long_loses_its_owner_before_its_quantization():
    assert short_name("hf:Qwen/Qwen3-8B-GGUF:Q4_K_M", 30) == "hf:Qwen/Qwen3-8B-GGUF:Q4_K_M"
    assert short_name("hf:Qwen/Qwen3-8B-GGUF:Q4_K_M", 26) == "hf:…/Qwen3-8B-GGUF:Q4_K_M"
    assert short_name("verify https://example.org/a/b/m.gguf", 24) == "verify https://…/m.gguf"
    assert short_name("qwen3-8b-instruct@q4_k_m", 12) == "qwen3-8b-in…"


def test_a_ctrl_c_at_a_question_is_a_no_and_says_so(monkeypatch):
    class InterruptedInput(io.StringIO):
        def isatty(self) -> bool:
            return True

        def readline(self, *_: object) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", InterruptedInput())
    with pytest.raises(Interrupted, match="Nothing was done"):
        confirm("rm", "Remove it?")


def test_no_line_on_a_terminal_is_broken_in_the_middle_of_a_word(screen, monkeypatch):
    screen(40)
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    text = "a sentence that goes on and on behind the edge of a small screen\n  with a line that is set in from it"
    output.result(text)
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())


def test_a_path_for_copying_is_not_wrapped(screen, monkeypatch):
    screen(40)
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    path = "/a folder with spaces/and another one that is long/model.gguf"
    output.print_raw(path)
    assert terminal.getvalue() == f"{path}\n"


@pytest.mark.parametrize(("locale", "written"), [("C", b"#. m\n"), ("C.UTF-8", "█… m\n".encode())])
def test_a_terminal_of_the_c_locale_gets_ascii(monkeypatch, locale, written):
    stream = io.BytesIO()
    terminal = io.TextIOWrapper(stream, encoding="utf-8", write_through=True)
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    monkeypatch.setenv("LC_ALL", locale)
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    output.prepare_streams()
    output.result("█… m")
    assert stream.getvalue() == written
