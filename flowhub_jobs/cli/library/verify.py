"""verify: checks installed models against their checksums, and repairs damage."""

from collections.abc import Sequence
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.library.run_inline import leave, run_here, why_not_done
from flowhub_jobs.cli.options import AsJson, Later
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.errors import Busy, DigestMismatch, FlowhubError, NotDoneYet, SomeFailed, UsageInvalid
from flowhub_jobs.operations.library.verify import VerifyResult, compare_stamps
from flowhub_jobs.operations.local_jobs import LocalJobs
from flowhub_jobs.operations.schemas.library import verify_json
from flowhub_jobs.operations.session import Session
from flowhub_jobs.store.verification import InstalledArtifact
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
        errands = LocalJobs(session)
        models = errands.installed(refs or [])
        _tell_of_strangers(session, errands, bool(refs))
        if later:
            leave(session, errands.verify(models))
        else:
            looked = compare_stamps(models) if fast else _whole(session, errands, models, repair)
            _tell(looked)
            _raise_for(looked)
    if not models:
        output.hint("No installed model can be verified.")


def _tell_of_strangers(session: Session, errands: LocalJobs, named: bool) -> None:
    strangers = [] if named else sorted({one.name for one in session.store.models()} - set(errands.records.names()))
    if strangers:
        output.hint(
            output.fold(
                f"Put there by hand, without a known digest: {output.clean(', '.join(strangers))}. "
                "`flowhub adopt` adds them."
            ),
        )


def _whole(
    session: Session, errands: LocalJobs, models: Sequence[InstalledArtifact], repair: bool
) -> list[VerifyResult]:
    jobs = run_here(session, errands.verify(models), "Verifying")
    looked = []
    for model, job in zip(models, jobs, strict=True):
        error = why_not_done(job)
        damaged = errands.records.record(model.name) if error else None
        if error and repair and damaged and damaged.damage:
            looked.append(_mended(session, errands, damaged, error))
        else:
            state = "ok" if error is None else "damaged" if damaged and damaged.damage else "unknown"
            looked.append(VerifyResult(model, state, error, job=job.id, damage=damaged.damage if damaged else None))
    return looked


def _mended(session: Session, errands: LocalJobs, model: InstalledArtifact, found_damage: FlowhubError) -> VerifyResult:
    earlier = model.artifact.key in session.queries.live_jobs()
    try:
        [job] = run_here(session, [errands.repair(model)], "Repairing")
    except FlowhubError as refused:
        what = DigestMismatch(found_damage.message, hint=f"No repair: {refused.message} {refused.hint or ''}")
        return VerifyResult(model, "damaged", what, damage=model.damage)
    undone = why_not_done(job)
    if earlier and isinstance(undone, NotDoneYet):
        hint = f"`flowhub start {job.id}` starts it now, `flowhub cancel {job.id}` ends it."
        undone = Busy(undone.message, hint=hint)
    state = "damaged" if undone else "repaired"
    return VerifyResult(model, state, undone, job=job.id, damage=model.damage, bytes_fetched=job.bytes_fetched)


def _tell(looked: Sequence[VerifyResult]) -> None:
    if output.chosen.json:
        output.result_json(verify_json(looked))
        return
    for one in looked:
        words = one.state
        if words == "repaired":
            words += f", {format_bytes(one.bytes_fetched)} fetched"
        output.result(f"{output.clean(one.model.name)}: {words}, {format_bytes(one.model.bytes)}")
        if one.error and len(looked) > 1:  # of one alone, the error itself says it
            output.hint(output.fold(one.error.message, "  "))


def _raise_for(looked: Sequence[VerifyResult]) -> None:
    errors = [one.error for one in looked if one.error]
    if errors and len(looked) == 1:
        raise errors[0]
    if errors:
        raise SomeFailed(f"{len(errors)} of {len(looked)} models differ or could not be checked.", hint=errors[0].hint)
