"""Every error code has a meaning and a remedy, for the command line and for a program."""

import re

import pytest

from flowhub_jobs.errors import ERRORS, Busy, DiskFull, NameTaken
from flowhub_jobs.errors.guide import guide, guides, hint_in_call
from flowhub_jobs.errors.guide_texts import TEXTS
from flowhub_jobs.errors.hint_placeholders import for_jobs

EACH = pytest.mark.parametrize("code", list(ERRORS))


@EACH
def test_every_code_has_a_meaning_and_a_remedy_in_whole_sentences(code):
    entry = guide(code)
    assert re.fullmatch(r"[A-Z`].*\.", entry.meaning)
    assert re.fullmatch(r"[A-Z`].*\.", entry.remedy)


@EACH
def test_the_remedy_for_a_program_names_no_command_no_job_and_no_worker(code):
    error = ERRORS[code].__new__(ERRORS[code])
    error.hint = "Then {retry}."
    call_hint = hint_in_call(error) or ""
    assert not re.search(r"`flowhub|\bjob|\bworker", call_hint)


@EACH
def test_no_placeholder_of_a_hint_is_left_unfilled(code):
    error = ERRORS[code].__new__(ERRORS[code])
    error.hint = ERRORS[code].default_hint
    texts = (error.hint, for_jobs(error.hint_template or "", "7", ["m@q4"]), hint_in_call(error), guide(code).remedy)
    assert not [text for text in texts if re.search(r"[{}]", text or "")]


def test_a_hint_names_the_command_of_its_reader():
    error = NameTaken("It is there.")
    assert error.hint == "Move or remove it, then `flowhub retry JOB`."
    assert for_jobs(error.hint_template or "", "7-9", ["a", "b", "c"]) == "Move or remove it, then `flowhub retry 7-9`."
    error.hint = "Move it. {New_try} continues."
    assert hint_in_call(error) == "Move it. A new call continues."


def test_a_hint_that_a_program_can_follow_stays():
    assert hint_in_call(Busy("It is.", hint="Look at process 12.")) == "Look at process 12."
    assert "Free some space." in str(hint_in_call(DiskFull("It is full.")))


def test_the_table_is_sorted_by_exit_status_and_has_known_codes_only():
    assert [entry.exit_status for entry in guides()] == sorted(entry.exit_status for entry in guides())
    assert set(TEXTS) <= set(ERRORS)
