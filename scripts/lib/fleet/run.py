"""One run: starts the fleet, queues the files on all nodes, waits for the last one, and counts."""

import contextlib
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from support.models import write_catalog
from support.postgres import Server

from flowhub_jobs.database.engine import open_database
from lib.fleet.figures import Figures
from lib.fleet.nodes import OTHER, WORKER, FleetNode, make_nodes, running
from lib.fleet.origin_process import OriginProcess, origin_process, sha256_by_name
from lib.fleet.sampling import ALL, ConnectionCounter, claim_timer, database_cpu_s, sampled

# A server's defaults except for the connections: each claim waits for the disk.
SERVER_OPTIONS = "-c max_connections=200"
FINISHED = {
    "state": "'completed'",
    "node": "'n' || lpad((1 + n % {nodes})::text, 2, '0')",
    "ref": "'finished-' || n",
    "artifact_key": "lpad(to_hex(n), 16, 'f')",
    "finished_at": "created_at - n",
    "started_at": "created_at - n - 1",
    "created_at": "created_at - n - 2",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of a run. Sizes are bytes; `rate_bps` is the rate of the whole origin, `node_bps` that of each node.

    None is no limit.
    """

    nodes: int
    files: int
    size: int
    rate_bps: float | None
    share: bool
    node_bps: float | None = None


class RunFailed(Exception):
    """A job failed; the text has the reason."""


def measured(options: Wanted, finished: int) -> Figures:
    """Return the figures of one run in a database with `finished` jobs. Raises RunFailed."""
    with (
        tempfile.TemporaryDirectory(prefix="flowhub-fleet-") as folder,
        contextlib.closing(Server(SERVER_OPTIONS)) as server,
        origin_process(options.files, options.size, options.rate_bps) as origin,
    ):
        url = server.url(server.create())
        open_database(url, lock_folder=Path(folder)).dispose()
        catalog = write_catalog(Path(folder) / "catalog.json", *origin.models)
        nodes = make_nodes(Path(folder), options.nodes, url, catalog, options.node_bps)
        return _measured(options, finished, server, origin, nodes)


def _measured(
    options: Wanted, finished: int, server: Server, origin: OriginProcess, nodes: Sequence[FleetNode]
) -> Figures:
    url, folder = nodes[0].database_url, nodes[0].home.parent
    models = [model["id"] for model in origin.models]
    with (
        psycopg.connect(f"{url}?application_name={OTHER}", autocommit=True) as connection,
        claim_timer(folder / "claims", url) as timer,
        running(nodes, share=options.share),
    ):
        _insert_finished(connection, finished, options.nodes)
        _wait_for_nodes(connection, options)
        counter = ConnectionCounter(connection)
        cpu_s, began = database_cpu_s(server), time.monotonic()
        with sampled(counter, timer):
            [(earlier,)] = connection.execute("SELECT max(id) FROM jobs").fetchall()
            nodes[0].run("enqueue", *models, "--on", "all")
            _wait_for_jobs(connection, earlier, options.nodes * options.files)
        wall_s = time.monotonic() - began
        cpu = (database_cpu_s(server) - cpu_s) / wall_s
    digests = sha256_by_name(origin.models)
    return Figures(
        nodes=options.nodes,
        finished=finished,
        origin_ratio=origin.sent() / (options.files * options.size),
        right=sum(_is_right(node.store / name, sha256) for node in nodes for name, sha256 in digests.items()),
        wanted=options.nodes * options.files,
        claims_ms=tuple(timer.ms),
        cpu=cpu,
        worker_connections=counter.peak[WORKER],
        all_connections=counter.peak[ALL],
        wall_s=wall_s,
    )


def _is_right(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _insert_finished(connection: "psycopg.Connection[Any]", count: int, nodes: int) -> None:
    """Write finished jobs, spread over the nodes: changed copies of a queued job."""
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'jobs' AND column_name <> 'id'"
    columns = [name for (name,) in connection.execute(query)]
    values = [FINISHED.get(name, f'"{name}"').format(nodes=nodes) for name in columns]
    names = ", ".join(f'"{name}"' for name in columns)
    copies = f"SELECT {', '.join(values)} FROM jobs, generate_series(1, {count}) n WHERE id = 1"
    connection.execute(f"INSERT INTO jobs ({names}) {copies}".encode())
    connection.execute("ANALYZE")  # autovacuum does this within a minute


def _wait_for_nodes(connection: "psycopg.Connection[Any]", options: Wanted) -> None:
    """Wait until all workers have registered, and all shares have published their address."""
    query = (
        "SELECT count(DISTINCT workers.node), count(DISTINCT nodes.node) FROM nodes LEFT JOIN workers USING (node) "
        "WHERE share_url IS NOT NULL OR %s"
    )
    for workers, shares in _polled(connection, query, not options.share):
        if min(workers, shares) >= options.nodes:
            return


def _wait_for_jobs(connection: "psycopg.Connection[Any]", earlier: int, count: int) -> None:
    """Wait until this many jobs with a number above `earlier` are completed. Raises RunFailed."""
    query = (
        "SELECT count(*) FILTER (WHERE state = 'completed'), min(error::text) FILTER (WHERE state = 'failed') "
        "FROM jobs WHERE id > %s"
    )
    for completed, error in _polled(connection, query, earlier):
        if error is not None:
            raise RunFailed(json.dumps(error))
        if completed == count:
            return


def _polled(connection: "psycopg.Connection[Any]", query: str, value: int | bool) -> Iterator[tuple[Any, ...]]:
    while True:
        yield from connection.execute(query.encode(), (value,)).fetchall()
        time.sleep(0.5)  # this query itself must not load the database
