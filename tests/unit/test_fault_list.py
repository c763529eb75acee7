"""`scripts/faults` lists the faults that tests cover: each test file is a group, each row of a table a fault."""

import runpy
from pathlib import Path

TESTS = Path(__file__).parents[1]
SCRIPT = TESTS.parent / "scripts" / "faults"
LIST = runpy.run_path(str(SCRIPT))


def test_every_file_of_the_suite_is_a_group_with_a_title_of_its_own_and_faults():
    groups = LIST["groups"]()
    listed = {group.path for group in groups}
    assert listed >= {*(TESTS / "faults").glob("test_*.py"), *(TESTS / "crash").glob("test_*.py")}
    assert all(group.title and group.faults for group in groups), [group.path for group in groups if not group.faults]
    assert len({group.title for group in groups}) == len(groups)


def test_a_row_of_a_table_is_a_fault_and_the_tests_name_what_comes_of_it(tmp_path):
    path = tmp_path / "test_x.py"
    path.write_text(
        '"""The line: it breaks."""\n'
        'BREAKS = {"a reset": 1, "a close": 2}\n'
        '@pytest.mark.parametrize("fault", BREAKS.values(), ids=BREAKS)\n'
        '@pytest.mark.parametrize("code", [301, 302])\n'
        "def test_it_costs_no_byte_twice(fault, code): ...\n"
        "def test_a_stall_is_left(): ...\n"
        "def not_a_test(): ...\n"
    )
    group = LIST["group_of"](path)
    assert group.title == "The line: it breaks."
    assert [str(fault) for fault in group.faults] == [
        "a reset (301, 302): it costs no byte twice",
        "a close (301, 302): it costs no byte twice",
        "a stall is left",
    ]


def test_a_line_of_the_document_is_an_outcome_and_the_faults_that_have_it():
    text = LIST["document"]()
    assert text.count("\n## ") == len(LIST["groups"]())
    assert "**a connection that breaks costs no byte twice**: a reset in mid-body; " in text


def test_the_document_has_the_list_as_it_is_now():
    assert LIST["DOCUMENT"].read_text() == LIST["document"](), "run scripts/faults --write"
