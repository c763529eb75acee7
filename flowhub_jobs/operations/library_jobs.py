"""Jobs on installed models: verify, repair, export, import, move. Queued as rows like any other."""

import secrets
from collections.abc import Sequence
from pathlib import Path

from flowhub_jobs.errors import Busy, NotFound
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.enqueue_rows import EnqueueRequest, EnqueueTerms
from flowhub_jobs.operations.enqueue_plan import EnqueueItem
from flowhub_jobs.operations.session import Session
from flowhub_jobs.store.export_manifest import ManifestEntry, read_manifest
from flowhub_jobs.store.install import remove_partial
from flowhub_jobs.store.layout import PARTIAL
from flowhub_jobs.store.space import check_room
from flowhub_jobs.store.verification_records import InstalledArtifact, VerificationRecords
from flowhub_jobs.transfer.partial.hold import is_in_use
from flowhub_jobs.transfer.partial.seed_for_repair import SeedFile, seed_partial
from flowhub_jobs.values.enums import JobKind
from flowhub_jobs.values.jobs import JobTarget


class LibraryJobs:
    def __init__(self, session: Session) -> None:
        self._session, self._home = session, session.home

    def installed(self, refs: Sequence[str]) -> list[InstalledArtifact]:
        """Return the installed models that are meant, each once; all of them where none is named.

        Raises NotFound, and StoreOffline for one whose store is not there.
        """
        installed = self._session.installed
        installed.require_store()
        if not refs:
            records = [_records(one.home) for one in self._session.each_store() if not one.home.store_is_away()]
            return [
                model
                for of_store in records
                for name in of_store.names()
                if (model := of_store.record(name)) is not None
            ]
        models = []
        for name in dict.fromkeys(name for ref in refs for name in installed.find(ref)):
            home, own_name = installed.located(name)
            model = _records(home).record(own_name)
            if model is None:
                installed.require_store_of(name)
                raise NotFound(
                    f"{name} was put there by hand: flowhub knows no digest to compare it with.",
                    hint=f"`flowhub adopt {home.store.root / own_name}` takes it in.",
                )
            models.append(model)
        return models

    def record(self, model: InstalledArtifact) -> InstalledArtifact | None:
        """Return the record of an installed model as it is now; None if it is not installed any more."""
        return _records(self._home.in_store(model.store)).record(model.name)

    def unknown(self) -> list[str]:
        """Return the names of the models in the stores that are not in the library, sorted."""
        homes = self._home.each_store()
        names = {(home.store.name, model.name) for home in homes for model in home.store.models()}
        recorded = {(home.store.name, name) for home in homes for name in _records(home).names()}
        return sorted(name for _, name in names - recorded)

    def verify(self, models: Sequence[InstalledArtifact]) -> list[int]:
        """Queue a job for each that reads all of it again; return their numbers, in order."""
        return self._queue([self._request(model, JobTarget(JobKind.VERIFY, model.name)) for model in models])

    def export(self, models: Sequence[InstalledArtifact], folder: Path) -> list[int]:
        """Queue a job for each that copies it to `folder`, which is absolute."""
        return self._queue([self._request(model, JobTarget(JobKind.EXPORT, str(folder))) for model in models])

    def move(self, models: Sequence[InstalledArtifact], store: str) -> list[int]:
        """Queue a job for each that moves it to the store of this name; one that is there already needs none.

        Raises StoreOffline for a name that is not in the settings, and Busy while another job works on a model.
        """
        root, live = self._home.in_store(store).store.root, self._home.queries.live_jobs()
        to_move = [model for model in models if model.store != store]
        for model in to_move:
            if (job := live.get(model.artifact.key)) is not None:
                self._refuse_other_job(model, job, store)
        requests = [
            EnqueueRequest(
                model.artifact,
                str(root / model.name),
                EnqueueTerms(),
                task=JobTarget(JobKind.MOVE, model.store),
                size_seen=model.bytes,
                store=store,
            )
            for model in to_move
        ]
        return self._queue(requests)

    def _refuse_other_job(self, model: InstalledArtifact, number: int, store: str) -> None:
        [job] = self._home.queries.jobs([number])
        if job.kind is not JobKind.MOVE or job.store != store:
            raise Busy(
                f"{model.name} is being worked on by job {number}.",
                hint=f"Wait for it, or `flowhub cancel {number}` first.",
            )

    def import_models(self, folder: Path, names: Sequence[str]) -> list[int]:
        """Queue a job for each model of the export in `folder`; of those named, if any are.

        A model's id names all its options. Raises ManifestUnusable, and NotFound for a name that is none of them.
        """
        models = read_manifest(folder)
        by_name = {name: [entry for entry in models.values() if _is_named(entry, name)] for name in names}
        if missing := [name for name in names if not by_name[name]]:
            available = ", ".join(f"{entry.artifact.ref} ({entry.name})" for entry in models.values()) or "nothing"
            raise NotFound(f"{folder} does not hold {missing[0]!r}.", hint=f"It holds: {available}.")
        wanted_names = {entry.name for matches in by_name.values() for entry in matches}
        chosen = [entry for entry in models.values() if not names or entry.name in wanted_names]
        task = JobTarget(JobKind.IMPORT, str(folder))
        return [
            answer.job
            for answer in self._session.enqueue([EnqueueItem(entry.artifact, EnqueueTerms(), task) for entry in chosen])
        ]

    def repair(self, model: InstalledArtifact) -> int:
        """Queue a fetch of the damaged pieces of an installed model; intact pieces are taken from the store.

        The damaged one keeps its name until the repaired one is verified. Raises NotFound where no address is known.
        """
        artifact, home = model.artifact, self._home.in_store(model.store)
        if not all(file.url for file in artifact.files):
            hint = f"`flowhub rm {model.name}`, and enqueue it again."
            raise NotFound(f"It is not known where {model.name} can be downloaded from.", hint=hint)
        if artifact.key not in home.queries.live_jobs():
            _seed(home, model)
        return self._session.enqueue([EnqueueItem(artifact, EnqueueTerms(force=True, store=model.store))])[0].job

    def _request(self, model: InstalledArtifact, task: JobTarget) -> EnqueueRequest:
        root = self._home.in_store(model.store).store.root
        shown_path = root / model.name if task.kind is JobKind.VERIFY else Path(task.place) / model.name
        return EnqueueRequest(model.artifact, str(shown_path), EnqueueTerms(), task=task, store=model.store)

    def _queue(self, requests: Sequence[EnqueueRequest]) -> list[int]:
        return [answer.job for answer in self._home.commands.enqueue(requests)]


def _records(home: Home) -> VerificationRecords:
    return VerificationRecords(home.engine, home.node, home.store)


def _seed(home: Home, model: InstalledArtifact) -> None:
    store, damage = home.store, model.damage or {}
    check_room(home.room(), model.bytes, 0, store.root)
    seeds = [
        SeedFile(file.path, file.store_path, file.bytes, file.sha256, file.pieces, _ranges(damage.get(file.path, ())))
        for file in model.files
    ]
    temporary = store.root / PARTIAL / f"mend-{secrets.token_hex(4)}"
    try:
        seed_partial(temporary, seeds)
        for partial in store.partials_of(model.artifact, home.node):
            if not is_in_use(partial, home.this_run()):
                remove_partial(partial)
        temporary.rename(store.new_partial(model.artifact, home.node))
    except BaseException:
        remove_partial(temporary)
        raise


def _ranges(damaged: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    return [(start, end) for start, end in damaged]


def _is_named(entry: "ManifestEntry", text: str) -> bool:
    """Return whether `text` names this model: by its name, its reference, or its model's id."""
    model_text = text.strip().lower().replace(":", "@")
    by_id = model_text in (entry.artifact.model, f"{entry.artifact.model}@{entry.artifact.option}")
    return by_id or text.strip() in (entry.name, entry.artifact.ref)
