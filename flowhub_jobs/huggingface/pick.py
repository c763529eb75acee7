"""From what a repository holds and what was asked to an artifact. Pure: nothing is fetched, nothing is written.

A GGUF model: its file, or a folder of its parts and of what goes with it. Else the folder of the whole model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from flowhub_jobs.errors import NotFound, SourceRefused, UsageInvalid
from flowhub_jobs.fs.names import name_problem, same_name_key
from flowhub_jobs.huggingface.file_filters import is_hidden, is_of_a_model, matches, usable, whole_model
from flowhub_jobs.huggingface.quants import (
    GgufModel,
    cut_pieces,
    described,
    gguf_models,
    is_companion,
    is_gguf,
    labels,
    quant_of,
)
from flowhub_jobs.huggingface.reference import HubRef
from flowhub_jobs.huggingface.responses import RepoFile, RepoInfo
from flowhub_jobs.huggingface.urls import file_url, page_url
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile, HubSource
from flowhub_jobs.values.enums import HubFormat, RepoKind


@dataclass(frozen=True, slots=True)
class Picked:
    """What is to be fetched, and what the person should know of the choice."""

    artifact: Artifact
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Choice:
    """The files of a model. `asked` is the reference with what was chosen filled in; `base` names a folder of them."""

    asked: HubRef
    files: tuple[RepoFile, ...]
    format: HubFormat | None
    base: str
    folder: bool
    under: str = ""  # the folder of the repository whose files they are
    note: str | None = None


def pick(info: RepoInfo, files: Sequence[RepoFile], asked: HubRef) -> Picked:
    """Return the artifact. Raises NotFound, UsageInvalid, and SourceRefused for names that may not be used."""
    asked = replace(asked, repo=info.repo)
    good, bad = usable(files)
    kept = [file for file in good if not matches(file.path, asked.exclude)]
    if not files:
        raise NotFound(f"The repository {info.repo} is empty.", hint="Look at its page at the Hub.")
    try:
        choice = _at_path(info, kept, asked, bad) if asked.path else _model(info, kept, asked)
    except NotFound as error:
        error.hint = " ".join(text for text in (error.hint, left_out(bad)) if text) or None
        raise
    choice = _with_included(choice, kept)
    _refuse_bad(info, choice, bad)
    offer = companion_offer(kept, choice.files) if choice.format is HubFormat.GGUF else None
    said = [choice.note, offer, left_out(bad), gated(info)]
    return Picked(_artifact(info, choice), tuple(note for note in said if note))


# What is chosen ------------------------------------------------------------------------------------------------------


def _model(info: RepoInfo, files: Sequence[RepoFile], asked: HubRef) -> _Choice:
    models = gguf_models(files) if asked.quant or info.kind is RepoKind.MODEL else []
    if asked.quant:
        return _by_label(models, files, asked)
    if models:
        return _gguf(*_preferred(models, asked), asked)
    own = tuple(whole_model(files)) if info.kind is RepoKind.MODEL else ()
    if any(file.path.lower().endswith(".safetensors") for file in own) or asked.include:
        return _Choice(asked, own, _format(info, own), _last(asked.repo), folder=True)
    return _everything(info, files, asked)


def _everything(info: RepoInfo, files: Sequence[RepoFile], asked: HubRef) -> _Choice:
    """Return the whole repository as a folder: a data set, or a model that no format of flowhub's describes."""
    own = tuple(file for file in files if not is_hidden(file.path))
    if not own:
        raise NotFound(f"{info.repo} holds no files that can be taken.", hint="Look at its page at the Hub.")
    note = None
    if info.kind is RepoKind.MODEL:
        note = f"It holds neither GGUF nor safetensors files: all its {len(own)} files are taken."
    return _Choice(asked, own, None, _last(asked.repo), folder=True, note=note)


def _gguf(found: GgufModel, note: str | None, asked: HubRef) -> _Choice:
    if not found.whole:
        what = found.quant or found.files[0].path
        raise NotFound(f"{asked.repo} has only {len(found.files)} of the {found.count} parts of {what}.")
    asked = replace(asked, quant=found.quant) if found.quant else replace(asked, path=found.files[0].path, quant=None)
    base = f"{_last(asked.repo)}-{found.quant or _stem(found.files[0].path)}"
    in_parts = f"{found.quant or _last(found.files[0].path)} is in {found.count} parts." if found.count > 1 else None
    said = " ".join(part for part in (note, in_parts) if part)
    return _Choice(asked, found.files, HubFormat.GGUF, base, folder=len(found.files) > 1, note=said or None)


def _by_label(models: Sequence[GgufModel], files: Sequence[RepoFile], asked: HubRef) -> _Choice:
    """Return what is meant by the word behind the colon: a quant's whole label, `latest`, or a file's name (Ollama)."""
    word = asked.quant or ""
    if word.lower() == "latest" and models:
        return _gguf(*_preferred(models, replace(asked, quant=None)), asked)
    if is_gguf(word):
        named = [model for model in models if any(_last(file.path).lower() == word.lower() for file in model.files)]
        if named:
            return _gguf(_only(named, asked), None, asked)
    label = quant_of(word) or word.upper()
    # Unsloth alone makes `XL` kinds under `UD-`, and is asked for them without it.
    short = f"UD-{label}" if label.endswith("_XL") else label
    found = [model for model in models if model.quant == label] or [m for m in models if m.quant == short]
    if not found:
        raise _no_such_quant(models, files, asked, label)
    return _gguf(_only(found, asked), None, asked)


def _no_such_quant(models: Sequence[GgufModel], files: Sequence[RepoFile], asked: HubRef, label: str) -> NotFound:
    cut = {path: pieces for path, pieces in cut_pieces(files).items() if quant_of(path) == label}
    have = described(models)
    hint = f"It has: {few(have)}." if have else "It has no GGUF files of a quant that their names tell."
    for path, pieces in cut.items():
        whole = HubRef(asked.repo, asked.revision, path=pieces[0].path, kind=asked.kind).text
        return NotFound(
            f"{asked.repo} has {label} only in {len(pieces)} pieces that must be joined: {_last(path)}.",
            hint=f"`flowhub enqueue {whole}` fetches the pieces. {hint}",
        )
    return NotFound(f"{asked.repo} has no {label}.", hint=hint)


def _preferred(models: Sequence[GgufModel], asked: HubRef) -> tuple[GgufModel, str | None]:
    first = models[0]
    found = _only([model for model in models if model.quant == first.quant], asked)
    others = [model for model in models if model.quant != found.quant]
    if not labels(others):
        return found, None
    return found, f"No quant was named: {found.quant} is taken. There are also {few(described(others))}."


def _only(models: Sequence[GgufModel], asked: HubRef) -> GgufModel:
    if len(models) == 1:
        return models[0]
    paths = sorted(HubRef(asked.repo, asked.revision, path=one.files[0].path, kind=asked.kind).text for one in models)
    what = f"are {models[0].quant}" if models[0].quant else "tell no quant"
    raise UsageInvalid(f"{len(models)} models of {asked.repo} {what}.", hint=f"Name one: {few(paths)}.")


def _at_path(info: RepoInfo, files: Sequence[RepoFile], asked: HubRef, bad: dict[str, str]) -> _Choice:
    path = (asked.path or "").rstrip("/")
    if path in bad:
        raise _refused(info.repo, path, bad[path])
    if found := [file for file in files if file.path == path]:
        return _one_file(files, found[0], asked)
    inside = [file for file in files if file.path.startswith(f"{path}/")]
    if not inside:
        near = get_close_matches(path, [file.path for file in files], n=3)
        hint = f"Did you mean {', '.join(near)}?" if near else f"It has: {few([file.path for file in files])}."
        raise NotFound(f"{info.repo} has no file or folder {path!r}.", hint=hint)
    base = f"{_last(asked.repo)}-{_last(path)}"
    if (models := gguf_models(inside)) and info.kind is RepoKind.MODEL:
        return replace(_gguf(*_preferred(models, asked), asked), asked=asked, base=base)
    own = tuple(whole_model(inside)) if _has_weights(inside) and info.kind is RepoKind.MODEL else ()
    own = own or tuple(file for file in inside if not is_hidden(file.path))
    return _Choice(asked, own, _format(info, own), base, folder=True, under=f"{path}/")


def _one_file(files: Sequence[RepoFile], found: RepoFile, asked: HubRef) -> _Choice:
    suffix = found.path.lower().rpartition(".")[2]
    kind = HubFormat(suffix) if suffix in ("gguf", "safetensors") else None
    base = f"{_last(asked.repo)}-{_stem(found.path)}"
    for model in gguf_models(files):
        if found in model.files and model.count > 1:  # a part alone is of no use
            note = f"{_last(found.path)} is one of {model.count} parts: all of them are taken."
            return replace(_gguf(model, None, asked), asked=asked, note=note)
    for path, pieces in cut_pieces(files).items():
        if found in pieces and len(pieces) > 1:
            note = f"{_last(path)} was cut into {len(pieces)} pieces: all are taken. Join them with `cat` before use."
            return _Choice(asked, pieces, None, f"{_last(asked.repo)}-{_stem(path)}", folder=True, note=note)
    return _Choice(asked, (found,), kind, base, folder=False)


def _has_weights(files: Sequence[RepoFile]) -> bool:
    return any(file.path.lower().endswith(".safetensors") for file in files)


def _with_included(choice: _Choice, files: Sequence[RepoFile]) -> _Choice:
    for glob in choice.asked.include:
        if not any(matches(file.path, [glob]) for file in files):
            raise NotFound(f"No file of {choice.asked.repo} matches --include {glob!r}.")
    own = set(choice.files)
    more = [file for file in files if file not in own and matches(file.path, choice.asked.include)]
    if not more and not choice.files:
        raise NotFound(f"--exclude leaves nothing of {choice.asked.repo}.")
    return replace(choice, files=(*choice.files, *more), folder=choice.folder or bool(more))


def _format(info: RepoInfo, files: Sequence[RepoFile]) -> HubFormat | None:
    if not any(file.path.lower().endswith(".safetensors") for file in files):
        return None
    is_mlx = info.library == "mlx" or "mlx" in info.tags or info.repo.startswith("mlx-community/")
    return HubFormat.MLX if is_mlx else HubFormat.SAFETENSORS


# What comes of it ----------------------------------------------------------------------------------------------------


def _artifact(info: RepoInfo, choice: _Choice) -> Artifact:
    asked, paths = choice.asked, _names_in(choice)
    files = tuple(
        ArtifactFile(
            path, file_url(info.repo, info.commit, file.path, info.kind), file.size, file.sha256, file.git_sha1
        )
        for path, file in zip(paths, choice.files, strict=True)
    )
    name = choice.base if choice.folder else files[0].path
    if name_problem(name):
        name = f"{info.repo.replace('/', '-')}-{info.commit[:12]}"
    hub = HubSource(
        info.repo, info.commit, asked.revision, asked.quant, asked.path, asked.include, asked.exclude, info.kind
    )
    return Artifact(asked.text, None, None, choice.format, name, choice.folder, files, hub)


def _names_in(choice: _Choice) -> list[str]:
    """Return what the files are called in the store. A GGUF's parts lie side by side, whatever their folders were."""
    paths = [file.path.removeprefix(choice.under) for file in choice.files]
    bare = [_last(path) for path in paths]
    flat = not choice.folder or choice.format is HubFormat.GGUF
    names = bare if flat and len({same_name_key(name) for name in bare}) == len(bare) else paths
    if len({same_name_key(name) for name in names}) < len(names):
        raise SourceRefused(
            f"{choice.asked.repo} has two files whose names differ only in case: no store can have both."
        )
    return names


def _refuse_bad(info: RepoInfo, choice: _Choice, bad: dict[str, str]) -> None:
    """Refuse the repository if a file that would be taken has a name that may not be used."""
    asked = choice.asked
    for path, problem in bad.items():
        wanted = _is_wanted(info, choice, path) or matches(path, asked.include)
        if wanted and not is_hidden(path) and not matches(path, asked.exclude):
            raise _refused(asked.repo, path, problem)


def _is_wanted(info: RepoInfo, choice: _Choice, path: str) -> bool:
    """Return whether a file would be of the choice if its name could be used."""
    asked = choice.asked
    if choice.format is HubFormat.GGUF:
        return is_gguf(path) and asked.quant is not None and quant_of(path) == asked.quant
    if asked.path and not path.startswith(f"{asked.path}/"):
        return False
    # A text for people is no part of a model; a vocabulary always has a plain name.
    of_a_model = is_of_a_model(path) and not path.lower().endswith(".txt")
    return of_a_model if choice.format else choice.folder or asked.path is not None


def _refused(repo: str, path: str, problem: str) -> SourceRefused:
    hint = "Nothing of it was taken. Tell the owner of the repository, or leave the file out with --exclude."
    return SourceRefused(f"{repo} has a file {path[:200]!a}, whose path {problem}.", hint=hint)


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    return _last(path).rpartition(".")[0] or _last(path)


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
