"""The package's modules: no import cycle, each in a layer of the contract, each with a name of its own."""

import ast
import functools
import inspect
import re
import textwrap
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "flowhub_jobs"


def _files() -> dict[str, Path]:
    """Return each module's dotted name and file, the empty `__init__` ones too."""
    paths = sorted((ROOT / PACKAGE).rglob("*.py"))
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths)
    return dict(zip(names, paths, strict=True))


FILES = _files()


@functools.cache
def _tree(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text())


def _imports(name: str) -> set[str]:
    """Return the package's modules that a module imports: at its top, in functions, and for type checks only."""
    imports = set()
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name} has a relative import, which this test does not read"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            imports |= (inner & FILES.keys()) or {node.module}
    return imports & FILES.keys() - {name}


def _cycles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield the groups of modules that reach each other: those that remain when leaves are removed at both ends."""
    left = {name: set(targets) for name, targets in graph.items()}
    while leaves := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in leaves}
    while left:
        imported = set().union(*left.values())
        if not (tops := left.keys() - imported):
            yield sorted(left)
            return
        left = {name: targets for name, targets in left.items() if name not in tops}


def test_a_cycle_is_found_without_the_modules_attached_to_it() -> None:
    graph = {"top": {"a"}, "a": {"b"}, "b": {"c", "leaf"}, "c": {"a"}, "leaf": set()}
    assert list(_cycles(graph)) == [["a", "b", "c"]]
    assert list(_cycles({"top": {"leaf"}, "leaf": set()})) == []


def test_no_modules_import_each_other_in_a_cycle() -> None:
    """Imports within functions and for type checks count: a reader follows them, too."""
    assert list(_cycles({name: _imports(name) for name in FILES})) == []


def test_each_module_is_in_a_layer_of_the_import_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [layers] = [c["layers"] for c in settings["tool"]["importlinter"]["contracts"] if c.get("containers") == [PACKAGE]]
    layered = {part.strip() for layer in layers for part in re.split(r"[|:]", layer)}
    assert {name.split(".")[1] for name in FILES if name != PACKAGE} == layered


def _public_classes() -> Iterator[tuple[str, str]]:
    for module in FILES:
        yield from (
            (node.name, module) for node in _tree(module).body if isinstance(node, ast.ClassDef) if node.name[0] != "_"
        )


def test_no_two_public_classes_have_one_name() -> None:
    holders = defaultdict(list)
    for name, module in _public_classes():
        holders[name].append(module)
    assert {name: modules for name, modules in holders.items() if len(modules) > 1} == {}


# Packages whose modules are named after nouns that other packages have, too; the package says what a module adds.
SHARED_NOUNS = {
    "cli": "the verb of that name, or its screen",
    "operations.schemas": "the JSON of that noun",
    "web.api": "the HTTP operations of that noun",
    "web.pages": "the page of that noun",
}


def test_no_two_modules_of_one_package_have_one_name() -> None:
    """`jobs.report` and `cli.worker.report` differ by their package; two `report` of one package would not."""
    holders = defaultdict(list)
    for name, path in FILES.items():
        inside = name.removeprefix(f"{PACKAGE}.")
        if path.name != "__init__.py" and not any(inside.startswith(f"{package}.") for package in SHARED_NOUNS):
            holders[inside.split(".")[0], path.stem].append(inside)
    assert {key: modules for key, modules in holders.items() if len(modules) > 1} == {}


# A row of a map: names of modules, two spaces or more, what they contain. An indented line continues it.
ROW = re.compile(r"(?P<names>\w+/?(?:, \w+/?)*) {2,}(?P<contents>\S.*)")
# A module may stand on the row of the one that uses it: "journal  … · owner_lock: …", "hold  … ─► ownership".
NEIGHBOURS = re.compile(r"(?:─►|·) (?P<names>\w+/?(?:, \w+/?)*)")
MAPPED_FROM = 6  # modules; a smaller package needs no map


def _map_rows(docstring: str) -> list[str]:
    """Return the rows of the maps in a docstring, each with its continuation lines."""
    rows: list[str] = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        lines = textwrap.dedent(paragraph).splitlines()
        if ROW.fullmatch(lines[0]):
            rows += re.split(r"\n(?! )", "\n".join(lines))
    return rows


def _mapped_modules(rows: list[str]) -> set[str]:
    """Return the modules that the rows name, in the first column or as neighbours."""
    names = set()
    for row in rows:
        first_line = ROW.fullmatch(row.splitlines()[0])
        assert first_line, f"not a row of a map: {row!r}"
        for listed in [first_line["names"], *(match["names"] for match in NEIGHBOURS.finditer(row))]:
            names |= {name.rstrip("/") for name in listed.split(", ")}
    return names


def _packages() -> Iterator[tuple[str, set[str]]]:
    """Yield each package below the root with its modules and subpackages."""
    for name, path in FILES.items():
        if path.name == "__init__.py":
            yield name, {module.removeprefix(f"{name}.") for module in FILES if module.rpartition(".")[0] == name}


def test_a_map_is_read_with_its_neighbours_and_continuation_lines() -> None:
    docstring = """The store.

    Prose: it names `ghost` and a list of words.

    layout, paths  paths of the store · names: checks of a name
    install        the save order ─► stage, record,
                   and a second line
    apps/          programs
    """
    assert _mapped_modules(_map_rows(docstring)) == {"layout", "paths", "names", "install", "stage", "record", "apps"}


def test_the_docstring_of_a_package_names_its_modules_and_no_others() -> None:
    """The root's docstring is the help of the Python API; CONTRIBUTING.md has its map."""
    wrong = {}
    for name, modules in _packages():
        mapped = _mapped_modules(_map_rows(ast.get_docstring(_tree(name)) or ""))
        if name != PACKAGE and (mapped or len(modules) >= MAPPED_FROM) and mapped != modules:
            wrong[name] = {"missing": sorted(modules - mapped), "unknown": sorted(mapped - modules)}
    assert wrong == {}
