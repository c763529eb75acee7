"""The scripts' parts and the tests' support import one way: lib.origin ◄── support ◄── lib.chaos, lib.fleet."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

TOP = Path(__file__).parents[2]
ROOTS = {"lib": TOP / "scripts", "support": TOP / "tests"}


def modules():
    """Return every module of scripts/lib and tests/support by its dotted name."""
    paths = [(root, path) for name, root in ROOTS.items() for path in (root / name).rglob("*.py")]
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for root, path in paths
    }


def imported_modules(path, known):
    """Return the modules of `known` that a file imports, also inside functions."""
    imports = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            imports |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
    return imports & known.keys()


KNOWN = modules()
IMPORTS = {name: imported_modules(path, KNOWN) for name, path in KNOWN.items()}


def test_there_is_no_import_cycle():
    assert list(TopologicalSorter(IMPORTS).static_order())


def test_only_scripts_that_start_servers_import_the_tests_support():
    users = {
        name
        for name, names in IMPORTS.items()
        if name.startswith("lib") and any(n.startswith("support") for n in names)
    }
    assert {name.split(".")[1] for name in users} == {"chaos", "fleet", "schema_dump"}


def test_the_tests_support_imports_only_the_origin_and_the_environments():
    used = {n for name, names in IMPORTS.items() if name.startswith("support") for n in names if n.startswith("lib")}
    assert {name for name in used if not name.startswith(("lib.origin", "lib.env"))} == set()


def test_the_origin_needs_nothing_but_python():
    for name, path in KNOWN.items():
        if name.startswith("lib.origin"):
            tops = {
                (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Import | ast.ImportFrom)
            }
            assert {top.split(".")[0] for top in tops} <= {"lib", *sys.stdlib_module_names}, name
