"""Installed models of other nodes, from their libraries, and the models that their jobs will install (`list --node`).

Their files cannot be looked at from here; a model that was changed or removed by hand shows on its node alone.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from flowhub_jobs.database.job_conditions import LIVE
from flowhub_jobs.database.lazy import Row, Snapshot
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.node_rows import NodeStatus
from flowhub_jobs.operations.nodes import read_nodes
from flowhub_jobs.times import known_moment
from flowhub_jobs.values.artifacts import claim_of, known_format
from flowhub_jobs.values.enums import HubFormat, State
from flowhub_jobs.values.jobs import ANY_NODE

_NAMES = ("node", "name", "ref", "model", "option", "format", "bytes", "sha256", "linked_from")
_COLUMNS = ", ".join(
    f'artifacts."{name}"' for name in (*_NAMES, "store_id", "artifact_key", "installed_at", "verified_at", "damage")
)
# In the stores that the node has now: another one is another disk.
_INSTALLED = (
    f"SELECT {_COLUMNS}, stores.name AS store, stores.path AS folder FROM artifacts "  # noqa: S608, fixed text
    "JOIN stores ON stores.node = artifacts.node AND stores.store_id = artifacts.store_id "
    "WHERE artifacts.node IN :nodes ORDER BY artifacts.name, artifacts.id"
)
# Without entries nothing is in the program's folder: the placement waits.
_PLACED = (
    "SELECT DISTINCT node, store_id, name, app FROM placements WHERE node IN :nodes "
    "AND entries IS NOT NULL AND CAST(entries AS TEXT) NOT IN ('null', '[]') ORDER BY app"
)
_PINNED = "SELECT node, claim FROM pins WHERE node IN :nodes"
_COMING = (
    "SELECT node, ref, state, bytes_total, bytes_done FROM jobs WHERE node IN :nodes AND kind = 'fetch' "  # noqa: S608, fixed text
    f"AND {LIVE} ORDER BY id"
)


@dataclass(frozen=True, slots=True)
class ModelOnNode:
    """A model in the library of a node."""

    node: str
    name: str
    ref: str
    model: str | None
    option: str | None
    format: HubFormat | None
    path: str
    bytes: int
    sha256: str | None
    linked_from: str | None
    installed_at: datetime
    verified_at: datetime
    damaged: bool
    placed_in: tuple[str, ...]
    pinned: bool
    store: str  # its name


@dataclass(frozen=True, slots=True)
class UpcomingModel:
    """A model that a live job brings to a node. `share` is the part that is there, from 0 to 1; None: unknown."""

    node: str
    ref: str
    state: State
    share: float | None


@dataclass(frozen=True, slots=True)
class ModelsOnNodes:
    nodes: tuple[NodeStatus, ...]
    models: tuple[ModelOnNode, ...]
    upcoming: tuple[UpcomingModel, ...]

    @property
    def names(self) -> list[str]:
        """Return the registered nodes, and any other that has or gets a model."""
        nodes_with_models = {model.node for model in self.models} | {one.node for one in self.upcoming}
        return sorted({node.node for node in self.nodes} | nodes_with_models - {ANY_NODE})

    @property
    def refs(self) -> list[str]:
        """Return every reference that some node has or gets, by name."""
        return sorted({model.ref for model in self.models} | {one.ref for one in self.upcoming})

    def cells(self) -> dict[tuple[str, str], str]:
        """Return the state of each reference on each node in a word: ok, damaged, 43 %, queued, paused."""
        cells = {(one.ref, one.node): _progress(one) for one in self.upcoming}
        return cells | {(one.ref, one.node): "damaged" if one.damaged else "ok" for one in self.models}


def models_on(home: Home, names: Collection[str]) -> ModelsOnNodes:
    """Return the models of these registered nodes, and of jobs that none has taken yet."""
    nodes = [node for node in read_nodes(home) if node.node in names]
    node_names = sorted({*names, ANY_NODE} if len(names) > 1 else names)
    with home.database.reading() as snapshot:
        models = _installed_models(snapshot, node_names)
        upcoming = [_upcoming(row) for row in snapshot.rows(_COMING, nodes=node_names)]
    return ModelsOnNodes(tuple(nodes), tuple(models), tuple(upcoming))


def _installed_models(snapshot: Snapshot, nodes: Sequence[str]) -> list[ModelOnNode]:
    programs: dict[tuple[str, str, str], list[str]] = {}
    for row in snapshot.rows(_PLACED, nodes=nodes):
        programs.setdefault((row["node"], row["store_id"], row["name"]), []).append(row["app"])
    pins = {(row["node"], row["claim"]) for row in snapshot.rows(_PINNED, nodes=nodes)}
    return [
        _model(
            row,
            placed_in=tuple(programs.get((row["node"], row["store_id"], row["name"]), ())),
            pinned=(row["node"], claim_of(row["ref"], row["model"], row["artifact_key"])) in pins,
        )
        for row in snapshot.rows(_INSTALLED, nodes=nodes)
    ]


def _model(row: Row, *, placed_in: tuple[str, ...], pinned: bool) -> ModelOnNode:
    fields = {name: row[name] for name in _NAMES} | {"format": known_format(row["format"])}
    return ModelOnNode(
        **fields,
        path=f"{row['folder']}/{row['name']}",
        store=row["store"],
        installed_at=known_moment(row["installed_at"]),
        verified_at=known_moment(row["verified_at"]),
        damaged=row["damage"] not in (None, "null"),
        placed_in=placed_in,
        pinned=pinned,
    )


def _upcoming(row: Row) -> UpcomingModel:
    share = row["bytes_done"] / row["bytes_total"] if row["bytes_total"] else None
    return UpcomingModel(row["node"], row["ref"], State(row["state"]), share)


def _progress(model: UpcomingModel) -> str:
    if model.state is State.RUNNING:
        return "running" if model.share is None else f"{int(100 * model.share)} %"
    return str(model.state)
