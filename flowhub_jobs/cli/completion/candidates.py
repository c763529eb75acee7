"""Prints names for the shell's completion: models, installed models, jobs, nodes. `flowhub __complete KIND [PREFIX]`.

The shell waits for it at every Tab. So it imports no more than the settings and SQLite, takes no lock, ends after
`LIMIT_S` in any case, and prints no error.
"""

import contextlib
import json
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from flowhub_jobs.settings import Settings, load_settings
from flowhub_jobs.values.sqlite_url import sqlite_file
from flowhub_jobs.values.store_settings import DEFAULT_STORE

LIMIT_S = 1.0
AT_MOST = 500
LARGE = 3_000_000  # bytes of a catalog that takes too long to read at every Tab
STATES = {
    "jobs": (),
    "live": ("queued", "running", "paused"),
    "queued": ("queued", "paused"),
    "paused": ("paused",),
    "ended": ("failed", "cancelled"),
}
NODES, OR_ALL, LISTS = "nodes", "nodes-or-all", "node-lists"
KINDS = ("models", "installed", "catalogs", "followed", "stores", NODES, OR_ALL, LISTS, *STATES)


def answer(arguments: Sequence[str]) -> int:
    """Print the names of a kind that begin with a prefix, one a line; return 0."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process, also inside a read that hangs
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    kind, prefix = [*arguments, "", ""][:2]
    with contextlib.suppress(Exception):  # the shell's line is no place for a message
        listed = _node_lists(load_settings(), prefix) if kind == LISTS else _names_of_kind(kind, load_settings())
        names = [name for name in listed if name.startswith(prefix) and name.isprintable()]
        sys.stdout.write("".join(f"{name}\n" for name in names[:AT_MOST]))
        sys.stdout.flush()
    return 0


def _names_of_kind(kind: str, settings: Settings) -> Iterable[str]:
    readers: dict[str, Callable[[Settings], Iterable[str]]] = {
        "models": _models,
        "installed": _installed,
        "catalogs": _catalogs,
        "followed": _followed,
        "stores": lambda settings: [DEFAULT_STORE, *settings.stores],
        NODES: _nodes,
        OR_ALL: lambda settings: ["all", *_nodes(settings)],
    }
    return readers[kind](settings) if kind in readers else _jobs(settings, STATES[kind])


def _jobs(settings: Settings, states: Sequence[str]) -> list[str]:
    """Return the numbers of the jobs in these states (none: in any), newest first."""
    if (path := sqlite_file(settings.database_url)) is None:
        return _jobs_on_server(settings, states)
    marks = ", ".join("?" * len(states))
    where = f"WHERE state IN ({marks})" if states else ""
    query = f"SELECT id FROM jobs {where} ORDER BY id DESC LIMIT {AT_MOST}"  # noqa: S608, the marks alone
    return [str(row[0]) for row in _rows(path, query, states)]


def _followed(settings: Settings) -> list[str]:
    """Return the references that are followed."""
    if (path := sqlite_file(settings.database_url)) is not None:
        return [row[0] for row in _rows(path, "SELECT ref FROM subscriptions ORDER BY ref")]
    from flowhub_jobs.home import opened
    from flowhub_jobs.jobs.subscriptions.subscription_queries import SubscriptionQueries

    with opened(settings) as home:
        return sorted(one.ref for one in SubscriptionQueries(home.database, home.node).all())


def _nodes(settings: Settings) -> list[str]:
    """Return the registered nodes."""
    if (path := sqlite_file(settings.database_url)) is not None:
        return [row[0] for row in _rows(path, "SELECT node FROM nodes WHERE version IS NOT NULL ORDER BY node")]
    from flowhub_jobs.home import opened
    from flowhub_jobs.jobs.node_rows import node_names

    with opened(settings) as home, home.database.reading() as snapshot:
        return sorted(node_names(snapshot))


def _node_lists(settings: Settings, prefix: str) -> list[str]:
    """Return the candidates for `--on`: after a comma, the nodes that are not in the list yet."""
    typed_nodes, comma, _ = prefix.rpartition(",")
    if not comma:
        return ["all", "any", *_nodes(settings)]
    chosen = typed_nodes.split(",")
    return [f"{typed_nodes},{node}" for node in _nodes(settings) if node not in chosen]


def _jobs_on_server(settings: Settings, states: Sequence[str]) -> list[str]:
    from flowhub_jobs.home import opened
    from flowhub_jobs.values.enums import State

    with opened(settings) as home:
        return [str(job) for job in reversed(home.queries.in_state(map(State, states or State)))]


def _rows(path: Path, query: str, values: Sequence[str] = ()) -> list[tuple[str, ...]]:
    if not path.is_file():
        return []
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.2)) as database:
        return database.execute(query, values).fetchall()


def _models(settings: Settings) -> list[str]:
    """Return the models of the catalog and of those imported; of a very large catalog, those of the search's index."""
    from flowhub_jobs.operations.catalogs.active import base_file

    base = base_file(settings)
    if base.stat().st_size > LARGE:
        return [row[0] for row in _rows(settings.home / "search.db", "SELECT id FROM models ORDER BY id")]
    files = [base, *_imported(settings)]
    return sorted({model["id"] for file in files for model in json.loads(file.read_bytes())["models"]})


def _imported(settings: Settings) -> list[Path]:
    folder = settings.home / "catalogs" / "overlays"
    return sorted(file for file in folder.glob("*.json") if not file.name.endswith(".facts.json"))


def _installed(settings: Settings) -> list[str]:
    folders = [settings.store, *(one.path for one in settings.stores.values())]
    names = {entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir()}
    return sorted(name for name in names if not name.startswith("."))


def _catalogs(settings: Settings) -> list[str]:
    return [file.stem for file in _imported(settings)]
