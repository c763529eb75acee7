"""Checks an owner at the Hub for new repositories, and new quants of repositories, that match the globs."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from flowhub_jobs.errors import FlowhubError, NotFound
from flowhub_jobs.huggingface.quants import gguf_models, labels
from flowhub_jobs.huggingface.responses import OwnedModel, RepoFile
from flowhub_jobs.jobs.enqueue_rows import EnqueueTerms
from flowhub_jobs.jobs.subscriptions.subscription_values import Terms
from flowhub_jobs.operations.enqueue_option_parser import OptionReader
from flowhub_jobs.operations.enqueue_plan import EnqueueItem
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.subscriptions.check_result import NewVersion, SourceCheck

BEGUN = ""  # the item that says that the owner's models were listed once: what was there then is not new
SEEN = "seen"
NEW_MAX = 20  # of one check; the others are found by the next


def check_owner(session: Session, owner: str, terms: Terms, seen_versions: Mapping[str, str]) -> SourceCheck:
    """Return what is new since the first check, which finds nothing new. Raises what `HubClient.models_of` raises."""
    listed = session.references.hub.models_of(owner)
    items = [item for model in listed for item in matching_items(model, terms.include)]
    if BEGUN not in seen_versions:
        if not listed:
            raise NotFound(f"The Hub lists no models of {owner}.", hint="Check the spelling of the owner's name.")
        return SourceCheck(dict.fromkeys([BEGUN, *items], SEEN))
    enqueue_terms = OptionReader(session).terms({"place": terms.place})
    return _new_ones(session, owner, [item for item in items if item not in seen_versions][:NEW_MAX], enqueue_terms)


def _new_ones(session: Session, owner: str, items: Sequence[str], terms: EnqueueTerms) -> SourceCheck:
    seen, new, first = {BEGUN: SEEN}, [], None
    for item in items:
        try:
            artifact = session.artifact(f"hf:{item}")
        except FlowhubError as error:
            first = first or error
            if error.retryable:
                break  # this one and the rest are new at the next check, too
        else:
            new.append(NewVersion(EnqueueItem(artifact, terms), f"{owner} has published {artifact.ref}."))
        seen[item] = SEEN
    return SourceCheck(seen, new, first)


def matching_items(model: OwnedModel, globs: Sequence[str]) -> Iterator[str]:
    """Yield `owner/repo` if a glob covers the repository, and `owner/repo:QUANT` of each quant that one covers. Pure.

    A glob with a colon is for quants. It covers the names with or without the owner; case does not count.
    """
    for_repos = [glob for glob in globs if ":" not in glob]
    if _is_covered(model.repo, for_repos):
        yield model.repo
    if len(for_repos) < len(globs):
        for quant in labels(gguf_models(RepoFile(path) for path in model.paths)):
            if _is_covered(item := f"{model.repo}:{quant}", [glob for glob in globs if ":" in glob]):
                yield item


def _is_covered(item: str, globs: Sequence[str]) -> bool:
    names = (item.lower(), item.partition("/")[2].lower())
    return any(fnmatchcase(name, glob.lower()) for name in names for glob in globs)
