"""The tree of errors: one code each, one exit status each, a hint where a person can do something."""

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
    # Those of database/exceptions.py are the same errors, in the form that SQLAlchemy's handlers know;
    # Overtaken is a Busy that placement.py catches by itself.
    again = ("flowhub_jobs.database.exceptions", "flowhub_jobs.placement.carry_out_plan")
    kinds = [kind for kind in _leaves(FlowhubError) if kind.__module__ not in again]
    codes = [kind.code for kind in kinds]
    assert len(codes) == len(set(codes))


def test_every_status_of_the_contract_has_an_error():
    assert {kind.exit_status for kind in ERRORS.values()} == STATUSES


@EACH
def test_what_was_raised_is_an_object_of_four_keys_that_json_can_hold(kind):
    said = json.loads(json.dumps(kind("It broke.", hint="Mend it.").as_dict()))
    assert said == {"code": kind.code, "message": "It broke.", "hint": "Mend it.", "retryable": kind.retryable}


@EACH
def test_a_hint_is_a_sentence_and_a_given_one_comes_first(kind):
    hint = kind("It broke.").hint
    assert hint is None or ((hint[0].isupper() or hint[0] == "`") and hint.endswith("."))
    assert kind("It broke.", hint="Mend it.").hint == "Mend it."


def test_whatever_a_source_does_wrong_ends_with_the_sources_status():
    assert {kind.exit_status for kind in _leaves(SourceError)} == {5}


def test_a_message_names_the_file_and_the_host_where_it_happened():
    """The text of the network knows its host, that of a check neither: what is missing is added when it is shown."""
    dropped = ConnectionLost("h.example dropped the connection.", host="h.example")
    assert dropped.at(host="other.example", path="m.gguf").message == "m.gguf: h.example dropped the connection."
    assert dropped.host == "h.example"
    wrong = WrongContent("expected gguf, but what came is a web page.").at(host="h.example", path="m.gguf")
    assert wrong.message == "m.gguf: expected gguf, but what came is a web page. It came from h.example."
    assert wrong.message_of_host == "expected gguf, but what came is a web page. It came from h.example."
    assert str(wrong) == wrong.as_dict()["message"] == wrong.message
