"""What a person is told of a repository and of what was chosen of it, in a sentence each. Pure."""

from collections.abc import Sequence

from flowhub_jobs.repos.pages import page_url
from flowhub_jobs.repos.quants import is_companion, quant_of
from flowhub_jobs.repos.reading import RepoFile, RepoInfo
from flowhub_jobs.repos.wanted import is_hidden

SHOWN = 12  # quants or files that a sentence names
_COMPANIONS = ("F16", "BF16", "Q8_0", "F32")  # the order in which one is offered


def companion_offer(files: Sequence[RepoFile], taken: Sequence[RepoFile]) -> str | None:
    """Return which companion could come along, unless one does."""
    offered = [file for file in files if is_companion(file.path)]
    if not offered or set(offered) & set(taken):
        return None
    best = min(offered, key=lambda file: _COMPANIONS.index(q) if (q := quant_of(file.path)) in _COMPANIONS else 9)
    name = best.path.rpartition("/")[2]
    return f"It has a companion for images or sound: add --include {name} to fetch that too."


def left_out(bad: dict[str, str]) -> str | None:
    odd = [path for path in bad if not is_hidden(path)]
    return f"Left out, as their names may not be used: {len(odd)} ({odd[0][:60]!a})." if odd else None


def gated(info: RepoInfo) -> str | None:
    if not info.gated:
        return None
    page = page_url(info.repo, info.kind)
    return f"It is gated: accept its terms at {page}, and set HF_TOKEN, before a worker fetches it."


def few(words: Sequence[str]) -> str:
    """Return the words in a row, and how many there are more than fit into a sentence."""
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more
