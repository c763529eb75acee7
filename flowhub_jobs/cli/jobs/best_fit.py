"""The options --best-fit and --require-fit of `enqueue`."""

from flowhub_jobs.errors import DoesNotFit
from flowhub_jobs.operations.search import variants
from flowhub_jobs.operations.session import Session
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import RUNNABLE, Fit


def best_of(session: Session, ref: str, notes: list[str]) -> str:
    """Return the best variant of a bare model or repository, and note why; any other reference as it is.

    Raises DoesNotFit where no variant runs here.
    """
    if not variants.leaves_choice(session, ref):
        return ref
    best, why = variants.best(session, ref)
    notes.append(f"{best.artifact.ref} is {why}.")
    return best.artifact.ref


def require_fit(session: Session, artifact: Artifact) -> None:
    """Raise DoesNotFit for an artifact that does not run here, or whose fit is unknown."""
    verdict = variants.judge_one(session, artifact, ask_unknown=True).verdict
    if verdict.fit not in RUNNABLE:
        phrase = "does not fit" if verdict.fit is not Fit.UNKNOWN else "may not fit"
        raise DoesNotFit(f"{artifact.ref} {phrase} ({verdict.fit}): {verdict.why}.")
