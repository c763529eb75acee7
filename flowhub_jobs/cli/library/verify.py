"""verify: checks installed models against their checksums, and repairs damage."""

from collections.abc import Sequence
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.library.run_inline import queue_for_worker, run_here, why_not_done
from flowhub_jobs.cli.options import AsJson, Later
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.errors import Busy, DigestMismatch, FlowhubError, NotDoneYet, SomeFailed, UsageInvalid
from flowhub_jobs.operations.library.quick_verify import VerifyResult, compare_stamps
from flowhub_jobs.operations.library_jobs import LibraryJobs
from flowhub_jobs.operations.placement import ShownPlacement, broken_placements
from flowhub_jobs.operations.schemas.library import verify_json
from flowhub_jobs.operations.session import Session
from flowhub_jobs.store.verification_records import InstalledArtifact
from flowhub_jobs.units import format_bytes


def verify(
    refs: Annotated[
        list[str] | None, typer.Argument(metavar="REF…", help="Models, or names from `flowhub list` (default: all).")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Compare sizes and times only; read no file.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Download damaged pieces again.")] = False,
    later: Later = False,
    as_json: AsJson = False,
) -> None:
    """Check installed models against their checksums.

    Reads every byte. The check runs here, as a job that `flowhub status` shows, or with --later in a worker. Exit
    status: 8 if one model was checked and differs, 10 if some of several differ.
    """
    if ((fast or repair) and later) or (fast and repair):
        raise UsageInvalid("--fast, --repair and --later do not go together.", hint="Give one of them.")
    with open_session() as session:
        library_jobs = LibraryJobs(session)
        models = library_jobs.installed(refs or [])
        _hint_unknown(session, library_jobs, bool(refs))
        if later:
            queue_for_worker(session, library_jobs.verify(models))
        else:
            results = compare_stamps(models) if fast else _verified(session, library_jobs, models, repair)
            broken = broken_placements(session, [model.name for model in models])
            _print_results(session, results, broken)
            _raise_for(results)
    if not models:
        output.hint("No installed model can be verified.")


def _hint_unknown(session: Session, library_jobs: LibraryJobs, has_refs: bool) -> None:
    unknown = [] if has_refs else library_jobs.unknown()
    if unknown:
        output.hint(
            output.fold(
                f"Put there by hand, without a known digest: {output.clean(', '.join(unknown))}. "
                "`flowhub adopt` adds them."
            ),
        )


def _verified(
    session: Session, library_jobs: LibraryJobs, models: Sequence[InstalledArtifact], repair: bool
) -> list[VerifyResult]:
    jobs = run_here(session, library_jobs.verify(models), "Verifying")
    results = []
    for model, job in zip(models, jobs, strict=True):
        error = why_not_done(job)
        damaged = library_jobs.record(model) if error else None
        if error and repair and damaged and damaged.damage:
            results.append(_repaired(session, library_jobs, damaged, error))
        else:
            state = "ok" if error is None else "damaged" if damaged and damaged.damage else "unknown"
            results.append(VerifyResult(model, state, error, job=job.id, damage=damaged.damage if damaged else None))
    return results


def _repaired(
    session: Session, library_jobs: LibraryJobs, model: InstalledArtifact, damage: FlowhubError
) -> VerifyResult:
    earlier = model.artifact.key in session.queries.live_jobs()
    try:
        [job] = run_here(session, [library_jobs.repair(model)], "Repairing")
    except FlowhubError as refused:
        mismatch = DigestMismatch(damage.message, hint=f"No repair: {refused.message} {refused.hint or ''}")
        return VerifyResult(model, "damaged", mismatch, damage=model.damage)
    undone = why_not_done(job)
    if earlier and isinstance(undone, NotDoneYet):
        hint = f"`flowhub start {job.id}` starts it now, `flowhub cancel {job.id}` ends it."
        undone = Busy(undone.message, hint=hint)
    state = "damaged" if undone else "repaired"
    return VerifyResult(model, state, undone, job=job.id, damage=model.damage, bytes_fetched=job.bytes_fetched)


def _print_results(session: Session, results: Sequence[VerifyResult], broken: Sequence[ShownPlacement]) -> None:
    if output.chosen.json:
        output.result_json(verify_json(results, broken))
        return
    for one in results:
        state = one.state
        if state == "repaired":
            state += f", {format_bytes(one.bytes_fetched)} fetched"
        name = session.installed.key(one.model.store, one.model.name)
        output.result(f"{output.clean(name)}: {state}, {format_bytes(one.model.bytes)}")
        if one.error and len(results) > 1:  # a single result is printed as the error itself
            output.hint(output.fold(one.error.message, "  "))

    for placed in broken:
        remedy = f"`flowhub place {placed.name} --in {placed.app}` places it again."
        output.hint(output.fold(output.clean(f"{placed.name} in {placed.app} is {placed.state}: {remedy}")))


def _raise_for(results: Sequence[VerifyResult]) -> None:
    errors = [one.error for one in results if one.error]
    if errors and len(results) == 1:
        raise errors[0]
    if errors:
        raise SomeFailed(f"{len(errors)} of {len(results)} models differ or could not be checked.", hint=errors[0].hint)
