"""Which ids the models of an imported catalog get: those that nobody else has."""

from collections.abc import Collection, Mapping

from flowhub_jobs.catalogs.importers.shape import Ids
from flowhub_jobs.catalogs.overlays import Entry


def settled(
    models: list[Entry], name: str, taken: Collection[str], known: Mapping[str, str]
) -> tuple[list[Entry], dict[str, str]]:
    """Return the models with ids that nobody else has, and the new id of each that could not keep its own.

    `taken` are the ids of all other catalogs. `known` is what was settled before: who installed `x-localai` finds it
    under that name after an update, too.
    """
    used, changed, answer = Ids(taken), dict[str, str](), []
    for model in models:
        own = str(model["id"])
        wanted = known.get(own, own)
        if wanted in used:
            wanted = used.free(f"{own}-{name}")
        if wanted != own:
            changed[own] = wanted
        used.take(wanted)
        answer.append(model | {"id": wanted})
    return answer, changed
