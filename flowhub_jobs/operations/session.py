"""Session: the operations of one opened home, for the command line, the page and MCP."""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from flowhub_jobs.errors import DatabaseUnusable, WrongState
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.enqueue_rows import Enqueued, EnqueueRequest, checked_priority
from flowhub_jobs.operations.enqueue_plan import EnqueueItem, EnqueuePlan, own_requests, plan_enqueue, requests_for
from flowhub_jobs.operations.library.installed import InstalledModels
from flowhub_jobs.store.space import Room, room_at
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import QueueOrder, State
from flowhub_jobs.values.jobs import ANY_NODE, Job

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.loaded import LoadedCatalog
    from flowhub_jobs.catalogs.search_reader import IndexReader, ListedModel
    from flowhub_jobs.device.device_values import Device
    from flowhub_jobs.jobs.commands import Alongside
    from flowhub_jobs.jobs.controls import Controls
    from flowhub_jobs.jobs.queries import JobQueries
    from flowhub_jobs.operations.preflight.first_response_checks import CheckedArtifact
    from flowhub_jobs.operations.reference_resolver import References
    from flowhub_jobs.settings import Settings
    from flowhub_jobs.store.layout import Store

Answer = TypeVar("Answer")
WAKEUPS_MAX = 16  # a wake-up tells a thread to look; it works until nothing is due


class Session:
    """The operations of one opened home; `home` gives direct access to its queries and stores."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._loaded: LoadedCatalog | None = None
        self._warnings: tuple[str, ...] = ()
        self.placement_notes: list[str] = []  # sentences on placements that the last `enqueue` could not make
        self._device: Device | None = None
        self._read_device: Callable[[], Device] | None = None
        self._one_store = False

    @property
    def loaded(self) -> "LoadedCatalog":
        """The catalog in force, read once."""
        if self._loaded is None:
            from flowhub_jobs.operations.catalogs.active import catalog_in_force

            self._loaded = catalog_in_force(self.home.settings)
        return self._loaded

    @property
    def catalog_warning(self) -> str | None:
        """The warning about the catalog, if it was read at all."""
        return self._loaded.warning if self._loaded else " ".join(self._warnings) or None

    # The home ------------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> "Settings":
        return self.home.settings

    @property
    def node(self) -> str:
        return self.home.node

    @property
    def store(self) -> "Store":
        return self.home.store

    @property
    def queue_order(self) -> QueueOrder:
        """The order in which queued jobs of one priority start."""
        return QueueOrder(self.settings.queue_order)

    @property
    def queries(self) -> "JobQueries":
        """Every read of jobs."""
        return self.home.queries

    @property
    def controls(self) -> "Controls":
        """The schedule and the speed limit."""
        return self.home.controls

    def now_us(self) -> int:
        return self.home.clock.now_us()

    def watch_database(self) -> None:
        """Have a long read fail with DatabaseUnusable when the database's file is replaced or removed."""
        self.home.database.watch_file()

    def living_workers(self) -> int:
        """Return how many workers run on this machine."""
        return self.home.living_workers()

    def open_store(self) -> None:
        """Make the store ready to be written. Raises StoreOffline, StoreUnusable."""
        self.home.open_store()

    def rescue_orphans(self) -> list[int]:
        """Take jobs back from dead workers, so that a change applies at once; return their numbers."""
        return self.home.take_back_orphans()

    def for_job(self, job: Job) -> "Session":
        """Return the session as the job's node has it: its workers, gates and hosts, which say why the job waits."""
        if job.node == self.node:
            return self
        from flowhub_jobs.operations.nodes import ALL_NODES, home_for_node

        return Session(home_for_node(self.home, ALL_NODES) if job.node == ANY_NODE else self.home.of_nodes((job.node,)))

    # Queue ---------------------------------------------------------------------------------------------------------

    @cached_property
    def references(self) -> "References":
        """The resolver of references; its `notes` are for the user."""
        from flowhub_jobs.operations.reference_resolver import References

        return References(self.home.settings, lambda: self.loaded.catalog)

    def artifact(
        self,
        ref: str,
        sha256: str | None = None,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        name: str | None = None,
    ) -> Artifact:
        """Return the artifact of a reference; the errors are those of `References.artifact_of`."""
        return self.references.artifact_of(ref, sha256, include, exclude, name)

    def check_sources(self, items: Sequence[EnqueueItem], *, pinned_too: bool) -> "list[CheckedArtifact | None]":
        """Probe the sources of what would be fetched; None for an item that needs no probe.

        Skipped are installed artifacts, those of live jobs, and, unless `pinned_too`, those that a catalog pins.
        """
        from flowhub_jobs.operations.preflight.probe import check

        live, to_check = self.home.queries.live_jobs(), {}
        for number, request in enumerate(own_requests(self.home, self._in_own_stores(items))):
            pins = request.artifact.model is not None and all(
                file.sha256 or file.git_sha1 for file in request.artifact.files
            )
            if not (request.needs_no_fetch or request.key in live or (pins and not pinned_too)):
                to_check[number] = request.artifact
        checked = check(list(to_check.values()), self.home.settings)
        by_number = {
            number: replace(result, error=None, unchecked_reason=result.error.message.rstrip("."))
            if result.error and self._may_be_here(result.artifact)
            else result
            for number, result in zip(to_check, checked, strict=True)
        }
        return [by_number.get(number) for number in range(len(items))]

    def _in_own_stores(self, items: Sequence[EnqueueItem]) -> list[EnqueueItem]:
        """Return the items without the stores that are in no setting here: they are of the nodes of `--on`."""
        own_stores = {None, *(home.store.name for home in self.home.each_store())}
        return [
            item if item.terms.store in own_stores else replace(item, terms=replace(item.terms, store=None))
            for item in items
        ]

    def _may_be_here(self, artifact: Artifact) -> bool:
        """Return whether the bytes may be on this machine already, so that no source is needed: a worker looks."""
        from flowhub_jobs.store.other_apps import WantedFile, app_folders_of, find_by_digest

        pins = [(file.sha256 or file.git_sha1, file.size) for file in artifact.files]
        wanted_files = [WantedFile(digest, size) for digest, size in pins if digest]
        if len(wanted_files) < len(pins):
            return False
        if any(home.store.taken(artifact.name) is not None for home in self.home.each_store()):
            return True
        return self.home.settings.look_elsewhere and any(
            True for _ in find_by_digest(app_folders_of(os.environ), wanted_files)
        )

    def enqueue(self, items: Sequence[EnqueueItem], alongside: "Alongside | None" = None) -> list[Enqueued]:
        """Queue them all, or none; wake workers after the commit. `alongside` writes in the same transaction."""
        requests = requests_for(self.home, items)
        enqueued = self.home.commands.enqueue(requests, alongside)
        pairs = zip(requests, enqueued, strict=True)
        if fresh := Counter(request.node for request, job in pairs if job.new):
            self._wake(fresh)
        self._place_installed(requests, enqueued)
        return enqueued

    def _place_installed(self, requests: Sequence[EnqueueRequest], enqueued: Sequence[Enqueued]) -> None:
        """Place the models that are installed here already, where their jobs would have placed them."""
        self.placement_notes = []
        on_this_node = [pair for pair in zip(requests, enqueued, strict=True) if pair[0].node == self.home.node]
        to_place = [pair for pair in on_this_node if pair[0].needs_no_fetch and pair[0].terms.place]
        if to_place:
            from flowhub_jobs.operations.library.placed import place_installed

            self.placement_notes = place_installed(self.home, to_place)

    def wake_workers(self, times: int, *, any_node: bool = False) -> None:
        self._wake({ANY_NODE if any_node else self.home.node: times})

    def _wake(self, jobs: Mapping[str, int]) -> None:
        """Wake workers of each node for so many jobs."""
        from flowhub_jobs.worker.wakeup_queue_choice import command_wakeups

        # The job is committed; a worker repairs a queue that cannot be opened now, and wakes itself.
        with suppress(sqlite3.Error, OSError, DatabaseUnusable):
            wakeups = command_wakeups(self.home)
            for node, times in jobs.items():
                wakeups.wake(min(times, WAKEUPS_MAX), node=node)
            wakeups.close()

    def plan(self, items: Sequence[EnqueueItem]) -> list[EnqueuePlan]:
        """Return what `enqueue` would do, without doing it."""
        return plan_enqueue(self.home, items)

    @property
    def disk_free(self) -> int:
        """The free bytes of the store's disk. Unlike `Home.room`, it measures no store."""
        return self._disk.free

    @property
    def disk_reserve(self) -> int:
        """The bytes that stay free on the store's disk. Unlike `Home.room`, it measures no store."""
        return self._disk.reserve

    @property
    def _disk(self) -> Room:
        reserve, _ = self.settings.limits_of_store(self.store.name)
        return room_at(self.store.root, reserve)

    # Steer ---------------------------------------------------------------------------------------------------------

    def pause(self, job: int) -> State:
        return self.home.commands.pause(job)

    def cancel(self, job: int, *, purge: bool = False) -> State:
        """Cancel a job; `purge` drops its partial, too."""
        commands = self.home.commands
        if purge:
            self._refuse_purge_elsewhere(job)
        if purge and self.home.queries.state_of([job]).get(job) is State.FAILED:
            self.home.purge(job)  # the job has ended, but its partial was kept for `retry`
            return State.FAILED
        state = commands.cancel(job, purge=purge)
        if purge and state is State.CANCELLED and not self._is_for_any(job):  # else no machine has bytes of it
            self.home.purge(job)
        return state

    def _is_for_any(self, job: int) -> bool:
        return self.home.queries.nodes_of([job]).get(job) == ANY_NODE

    def _refuse_purge_elsewhere(self, job: int) -> None:
        """Raise WrongState for bytes that are on another machine, and of which no run is at work."""
        node = self.home.queries.nodes_of([job]).get(job, self.home.node)
        if node in (self.home.node, ANY_NODE) or self.home.queries.state_of([job]).get(job) is State.RUNNING:
            return
        raise WrongState(
            f"The bytes of job {job} are on the node {node}, and cannot be deleted from here.",
            hint=f"Run `flowhub cancel {job} --purge` there, or cancel it from here without --purge.",
        )

    def set_priority(self, job: int, priority: int) -> State:
        """Give a live job this priority; return its state. Raises UsageInvalid, WrongState, NotFound."""
        return self.home.commands.set_priority(job, checked_priority(priority))

    def requeue(self, job: int, verb: str) -> State:
        """`resume`, `retry` or `start` a job, and wake a worker for it."""
        commands = self.home.commands
        state = {"resume": commands.resume, "retry": commands.retry, "start": commands.start}[verb](job)
        self._wake({self.home.queries.nodes_of([job]).get(job, self.home.node): 1})
        return state

    # The device ----------------------------------------------------------------------------------------------------

    @property
    def device(self) -> "Device":
        """This machine, looked at once."""
        if self._device is None:
            from flowhub_jobs.device.probe import probe

            self._device = self._read_device() if self._read_device else probe(self.home.store.root)
        return self._device

    def use_device(self, read_device: "Callable[[], Device]") -> None:
        """Have `device` come from `read_device`, when it is first needed: a server keeps one for many sessions."""
        self._read_device = read_device

    @property
    def installed(self) -> InstalledModels:
        """The installed models of all stores, or of the one of `in_store`, joined to the catalog in force."""
        if self._one_store or not self.home.store.others:
            return InstalledModels(self.home, lambda: self.catalog_options)
        from flowhub_jobs.operations.library.installed_in_stores import InstalledInStores

        return InstalledInStores(self.home.each_store(), lambda: self.catalog_options)

    def each_store(self) -> "list[Session]":
        """Return the session as it sees each store alone, the default one first."""
        return [self.in_store(home.store.name) for home in self.home.each_store()]

    def in_store(self, name: str) -> "Session":
        """Return the session as it sees one store alone. Raises StoreOffline for a name that is not in the settings."""
        alone = copy(self)
        alone.home, alone._one_store = self.home.in_store(name), True
        return alone

    @cached_property
    def catalog_options(self) -> "Collection[tuple[str, str]]":
        """Each model and option of the catalog in force: read from the index of searches, without loading it."""
        if self._loaded is not None:
            return {(model.id, option.id) for model in self._loaded.catalog.models for option in model.downloads}
        return self._looked_up(lambda lookup: lookup.all_options(), None)

    def listed_model(self, model_id: str) -> "ListedModel | None":
        """Return the model of the catalog in force with this id, read from the index of searches; None without one."""
        return self._looked_up(lambda lookup: lookup.listed(model_id), self._base_at_url)

    def titles(self) -> dict[str, str]:
        """Return the name of each model of the catalog in force by its id, read from the index of searches."""
        return self._looked_up(lambda lookup: lookup.titles(), self._base_at_url)

    def known_titles(self) -> dict[str, str]:
        """Return the names of `titles`, but do not ask a catalog at a URL that was asked within the hour."""
        return self._looked_up(lambda lookup: lookup.titles(), None)

    @cached_property
    def _base_at_url(self) -> "LoadedCatalog | None":
        """The base catalog, its source asked once; None for a file, whose changes the index notices."""
        from flowhub_jobs.operations.catalogs.active import base_catalog, is_at_url

        return base_catalog(self.home.settings) if is_at_url(self.home.settings) else None

    def _looked_up(self, query: "Callable[[IndexReader], Answer]", base: "LoadedCatalog | None") -> Answer:
        from flowhub_jobs.operations.search.index_update import query_index

        answer, self._warnings = query_index(self.home.settings, query, base)
        return answer
