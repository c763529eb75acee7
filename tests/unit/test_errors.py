"""The tree of errors: each has one code and one exit status, and a hint where the user can act."""

import json
import re

import pytest

from flowhub_jobs.errors import ERRORS, ConnectionLost, FlowhubError, SourceError, WrongContent, _leaves

# The exit codes that programs depend on.
STATUSES = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 124, 130, 143}
EACH = pytest.mark.parametrize("kind", ERRORS.values(), ids=list(ERRORS))


@EACH
def test_every_error_has_a_snake_case_code_of_its_own_and_a_status_of_the_contract(kind):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert kind.exit_status in STATUSES


def test_no_two_errors_share_a_code():
    # database/exception_types.py has the same errors in the form that SQLAlchemy's handlers accept;
    # Overtaken is a Busy that the placement package raises and catches itself.
    excluded = ("flowhub_jobs.database.exception_types", "flowhub_jobs.placement.carry_out_plan")
    kinds = [kind for kind in _leaves(FlowhubError) if kind.__module__ not in excluded]
    codes = [kind.code for kind in kinds]
    assert len(codes) == len(set(codes))


def test_every_status_of_the_contract_has_an_error():
    assert {kind.exit_status for kind in ERRORS.values()} == STATUSES


@EACH
def test_an_error_is_a_json_object_of_four_keys(kind):
    document = json.loads(json.dumps(kind("It broke.", hint="Mend it.").as_dict()))
    assert document == {"code": kind.code, "message": "It broke.", "hint": "Mend it.", "retryable": kind.retryable}


@EACH
def test_a_hint_is_a_sentence_and_a_given_one_comes_first(kind):
    hint = kind("It broke.").hint
    assert hint is None or ((hint[0].isupper() or hint[0] == "`") and hint.endswith("."))
    assert kind("It broke.", hint="Mend it.").hint == "Mend it."


def test_every_error_of_a_source_has_the_sources_exit_status():
    assert {kind.exit_status for kind in _leaves(SourceError)} == {5}


def test_a_message_names_the_file_and_the_host_where_it_happened():
    """A network error names its host, a content check neither host nor file: `at()` adds what the message lacks."""
    dropped = ConnectionLost("h.example dropped the connection.", host="h.example")
    assert dropped.at(host="other.example", path="m.gguf").message == "m.gguf: h.example dropped the connection."
    assert dropped.host == "h.example"
    mismatch = WrongContent("expected gguf, but what came is a web page.").at(host="h.example", path="m.gguf")
    assert mismatch.message == "m.gguf: expected gguf, but what came is a web page. It came from h.example."
    assert mismatch.message_of_host == "expected gguf, but what came is a web page. It came from h.example."
    assert str(mismatch) == mismatch.as_dict()["message"] == mismatch.message
