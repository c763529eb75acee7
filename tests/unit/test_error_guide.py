"""Every error code has a meaning and a remedy, for the command line and for a program."""

import re

import pytest

from flowhub_jobs.errors import ERRORS, Busy, DiskFull
from flowhub_jobs.errors.guide import _TEXTS, guide, guides, hint_in_call

EACH = pytest.mark.parametrize("code", list(ERRORS))


@EACH
def test_every_code_has_a_meaning_and_a_remedy_in_whole_sentences(code):
    found = guide(code)
    assert re.fullmatch(r"[A-Z`].*\.", found.meaning)
    assert re.fullmatch(r"[A-Z`].*\.", found.remedy)


@EACH
def test_what_a_program_is_told_names_no_command_no_job_and_no_worker(code):
    error = ERRORS[code].__new__(ERRORS[code])
    error.hint = "Then `flowhub retry` the job."
    said = hint_in_call(error) or ""
    assert not re.search(r"`flowhub|\bjob|\bworker", said)


def test_a_hint_that_a_program_can_follow_stays():
    assert hint_in_call(Busy("It is.", hint="Look at process 12.")) == "Look at process 12."
    assert "Free some space." in str(hint_in_call(DiskFull("It is full.")))


def test_the_table_is_by_exit_status_and_names_no_code_that_is_none():
    assert [one.exit_status for one in guides()] == sorted(one.exit_status for one in guides())
    assert set(_TEXTS) <= set(ERRORS)
