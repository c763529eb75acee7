"""The documentation has a place for every verb, option, setting, code, state, reason, exit status and JSON schema."""

import re
from pathlib import Path

import pytest
from lib import reference

from flowhub_jobs.cli.help import help_json
from flowhub_jobs.web.api import OPERATIONS

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"
REFERENCE = (DOCS / "reference.md").read_text()
PAGE = help_json.manual_json()
COMMANDS = ("deploy", "agents", "bench", "catalog", "http")  # pages with commands
SKILL = "flowhub_jobs/cli/help/SKILL.md"
SCHEMA = re.compile(r"\bflowhub/[a-z-]+/\d\b")


def section(title: str) -> str:
    """Return the reference's text below a heading of the second level."""
    return REFERENCE.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("verb", PAGE["verbs"], ids=[verb["name"] for verb in PAGE["verbs"]])
def test_a_verb_has_a_heading_and_below_it_each_of_its_options(verb):
    text = next(part for part in section("Verbs").split("\n#### ") if re.match(rf"`flowhub {verb['name']}[` ]", part))
    for option in verb["options"]:
        assert all(f"`{name}" in text for name in option["names"])


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("Settings", [setting["name"] for setting in PAGE["settings"]]),
        ("Error codes", [error["code"] for error in PAGE["errors"]]),
        ("States", [state["state"] for state in PAGE["states"]]),
        ("Reasons", [reason["reason"] for reason in PAGE["reasons"]]),
    ],
)
def test_each_has_a_row_in_its_table(title, words):
    assert {word for word in words if f"\n| `{word}` |" not in section(title)} == set()


def test_each_exit_status_has_a_row():
    text = section("Exit statuses")
    assert all(f"\n| {status} |" in text for status in PAGE["exit_statuses"])


@pytest.mark.parametrize("path", reference.DOCUMENTS, ids=lambda path: path.name)
def test_the_tables_are_as_scripts_reference_writes_them(path):
    assert reference.refreshed(path.read_text()) == path.read_text(), "run scripts/reference"


def test_every_operation_of_the_http_api_has_a_row():
    text = (DOCS / "http.md").read_text()
    rows = [f"| `{operation.method} {operation.path.replace(':path', '')}` |" for operation in OPERATIONS]
    assert [row for row in rows if row not in text] == []


def test_every_json_schema_has_a_section():
    sources = (path.read_text() for path in (TOP / "flowhub_jobs").rglob("*.py"))
    schemas = {name for text in sources for name in SCHEMA.findall(text)}
    headings = set(re.findall(r"(?m)^## `(flowhub/[a-z-]+/\d)`$", (DOCS / "json.md").read_text()))
    assert headings == schemas


def test_the_readme_is_short_and_links_each_page():
    readme = (TOP / "README.md").read_text()
    assert len(readme.encode()) <= 16 * 1024
    assert {page.name for page in DOCS.glob("*.md") if f"docs/{page.name}" not in readme} == set()


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", *(f"docs/{page.name}" for page in DOCS.glob("*.md"))])
def test_every_link_to_a_file_leads_to_one(path):
    page = TOP / path
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def test_the_map_of_contributing_has_a_line_for_each_package_and_each_module_at_the_top():
    text = (TOP / "CONTRIBUTING.md").read_text()
    package = TOP / "flowhub_jobs"
    packages = {str(path.parent.relative_to(package)) for path in package.rglob("__init__.py")} - {"."}
    packages |= {path.stem for path in package.glob("*.py")} - {"__init__"}
    table = text.split("| package | contents |\n")[1].split("\n\n")[0]
    assert set(re.findall(r"(?m)^\| `([a-z_/]+)` \|", table)) == packages


def test_every_script_that_a_person_runs_and_every_path_of_contributing_exists():
    text = (TOP / "CONTRIBUTING.md").read_text()
    scripts = {path.name for path in (TOP / "scripts").iterdir() if path.is_file() and not path.suffix}
    assert {name for name in scripts if f"scripts/{name}" not in text} == set()
    for name in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", text):
        assert (TOP / "flowhub_jobs" / name).exists() or (TOP / name).exists() or (TOP / "tests" / name).exists(), name


def test_the_drawing_of_a_transfer_has_every_condition_of_its_state():
    source = (TOP / "flowhub_jobs" / "transfer" / "state.py").read_text()
    conditions = re.findall(r"self\.(\w+) = threading\.Condition", source)
    text = (TOP / "CONTRIBUTING.md").read_text()
    assert len(conditions) == 4
    assert all(name in text for name in conditions)


def test_contributing_is_short():
    assert len((TOP / "CONTRIBUTING.md").read_text().splitlines()) <= 250


def commands(text):
    """Return each `flowhub …` command that a page shows, as its words."""
    fenced = re.findall(
        r"(?m)^(?:\$ )?(flowhub [^#\n]+)", "\n".join(re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL))
    )
    inline = re.findall(r"`(flowhub [^`]+)`", text)
    parts = [part.strip() for line in [*fenced, *inline] for part in line.split(";")]
    return [part.split() for part in parts if part.startswith("flowhub")]


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", *(f"docs/{name}.md" for name in COMMANDS), SKILL])
def test_every_command_on_a_page_has_a_verb_and_options_that_exist(path):
    verbs = {verb["name"]: {name for option in verb["options"] for name in option["names"]} for verb in PAGE["verbs"]}
    for words in commands((TOP / path).read_text()):
        verb = " ".join(words[1:3]) if " ".join(words[1:3]) in verbs else words[1]
        options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert verb in verbs or verb in ("--version", "--help", "VERB"), words
        assert options <= verbs.get(verb, set()) | {"--help", "--version", "--json"}, words


def test_the_skill_names_only_errors_that_exist_and_begins_as_a_skill_does():
    text = (TOP / SKILL).read_text()
    assert re.match(r"---\nname: flowhub\ndescription: \S.{50,900}\n---\n", text)
    codes = re.findall(r"`([a-z_]+)`", re.split(r"\n## ", text.split("\n## Errors\n")[1])[0])
    assert set(codes) - {"code", "hint", "message", "retryable", "retry"} <= {error["code"] for error in PAGE["errors"]}
    statuses = re.findall(r"(\d+) [a-z]", text.split("Exit statuses:")[1].split("\n")[0])
    assert len(statuses) == 9
    assert set(statuses) <= {str(status) for status in PAGE["exit_statuses"]}
