"""The package's modules: no import circle, each in a layer of the contract, each with a name of its own."""

import ast
import functools
import re
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
    found = set()
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name} has a relative import, which this test does not read"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & FILES.keys()) or {node.module}
    return found & FILES.keys() - {name}


def _circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield the groups of modules that reach each other: what is left when leaves are taken off at both ends."""
    left = {name: set(targets) for name, targets in graph.items()}
    while leaves := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in leaves}
    while left:
        imported = set().union(*left.values())
        if not (tops := left.keys() - imported):
            yield sorted(left)
            return
        left = {name: targets for name, targets in left.items() if name not in tops}


def test_a_circle_is_found_and_what_hangs_on_it_is_not_named() -> None:
    graph = {"top": {"a"}, "a": {"b"}, "b": {"c", "leaf"}, "c": {"a"}, "leaf": set()}
    assert list(_circles(graph)) == [["a", "b", "c"]]
    assert list(_circles({"top": {"leaf"}, "leaf": set()})) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports within functions and for type checks count: a reader follows them, too."""
    assert list(_circles({name: _imports(name) for name in FILES})) == []


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


# Packages whose name tells what each module adds to the noun that it is called by.
TELLING = {
    "cli": "the verb of that name, or its screen",
    "operations.schemas": "the JSON of that noun",
    "web.api": "the HTTP operations of that noun",
    "web.pages": "the page of that noun",
}


def test_no_two_modules_of_one_package_have_one_name() -> None:
    """`jobs.report` and `cli.worker.report` are told apart by their package; two `report` of one package are not."""
    holders = defaultdict(list)
    for name, path in FILES.items():
        inside = name.removeprefix(f"{PACKAGE}.")
        if path.name != "__init__.py" and not any(inside.startswith(f"{package}.") for package in TELLING):
            holders[inside.split(".")[0], path.stem].append(inside)
    assert {key: modules for key, modules in holders.items() if len(modules) > 1} == {}
