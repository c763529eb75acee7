"""From what a repository holds and what was asked to an artifact. Pure: nothing is fetched, nothing is written.

A GGUF model: its file, or a folder of its parts and of what goes with it. Else the folder of the whole model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from urllib.parse import quote

from flowhub_jobs.addresses import HUB
from flowhub_jobs.artifacts import Artifact, ArtifactFile, HubSource
from flowhub_jobs.errors import NotFound, SourceRefused, UsageInvalid
from flowhub_jobs.kinds import HubFormat
from flowhub_jobs.names import name_problem, same_name_key
from flowhub_jobs.repos.notes import companion_offer, few, gated, left_out
from flowhub_jobs.repos.quants import GgufModel, gguf_models, is_gguf, labels, quant_of
from flowhub_jobs.repos.reading import RepoFile, RepoInfo
from flowhub_jobs.repos.reference import HubRef
from flowhub_jobs.repos.wanted import is_hidden, is_of_a_model, matches, usable, whole_model


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
    choice = _at_path(info, kept, asked, bad) if asked.path else _model(info, kept, asked)
    choice = _with_included(choice, kept)
    _refuse_bad(choice, bad)
    offer = companion_offer(kept, choice.files) if choice.format is HubFormat.GGUF else None
    said = [choice.note, offer, left_out(bad), gated(info)]
    return Picked(_artifact(info, choice), tuple(note for note in said if note))


# What is chosen ------------------------------------------------------------------------------------------------------


def _model(info: RepoInfo, files: Sequence[RepoFile], asked: HubRef) -> _Choice:
    models = gguf_models(files)
    if models or asked.quant:
        return _gguf(models, asked)
    own = tuple(whole_model(files))
    if not any(file.path.lower().endswith(".safetensors") for file in own) and not asked.include:
        hint = "Name files of it with --include, or one as hf:owner/repo/path."
        raise NotFound(f"{info.repo} holds neither GGUF nor safetensors files.", hint=hint)
    return _Choice(asked, own, _format(info, own), _last(asked.repo), folder=True)


def _gguf(models: Sequence[GgufModel], asked: HubRef) -> _Choice:
    found, note = _named(models, asked) if asked.quant else _preferred(models, asked)
    if not found.whole:
        what = found.quant or found.files[0].path
        raise NotFound(f"{asked.repo} has only {len(found.files)} of the {found.count} parts of {what}.")
    asked = replace(asked, quant=found.quant) if found.quant else replace(asked, path=found.files[0].path)
    base = f"{_last(asked.repo)}-{found.quant or _stem(found.files[0].path)}"
    return _Choice(asked, found.files, HubFormat.GGUF, base, folder=len(found.files) > 1, note=note)


def _named(models: Sequence[GgufModel], asked: HubRef) -> tuple[GgufModel, None]:
    label = quant_of(asked.quant or "") or (asked.quant or "").upper()
    found = [model for model in models if model.quant == label] or [m for m in models if m.quant == f"UD-{label}"]
    if not found:
        have = labels(models)
        hint = f"It has: {few(have)}." if have else "It has no GGUF files of a quant that their names tell."
        raise NotFound(f"{asked.repo} has no {label}.", hint=hint)
    return _only(found, asked), None


def _preferred(models: Sequence[GgufModel], asked: HubRef) -> tuple[GgufModel, str | None]:
    first = models[0]
    found = _only([model for model in models if model.quant == first.quant], asked)
    others = [label for label in labels(models) if label != found.quant]
    if not others:
        return found, None
    return found, f"No quant was named: {found.quant} is taken. There are also {few(others)}."


def _only(models: Sequence[GgufModel], asked: HubRef) -> GgufModel:
    if len(models) == 1:
        return models[0]
    paths = sorted(HubRef(asked.repo, asked.revision, path=model.files[0].path).text for model in models)
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
    if models := gguf_models(inside):
        return replace(_gguf(models, asked), asked=asked, base=base)
    own = tuple(whole_model(inside)) or tuple(file for file in inside if not is_hidden(file.path))
    return _Choice(asked, own, _format(info, own), base, folder=True, under=f"{path}/")


def _one_file(files: Sequence[RepoFile], found: RepoFile, asked: HubRef) -> _Choice:
    suffix = found.path.lower().rpartition(".")[2]
    kind = HubFormat(suffix) if suffix in ("gguf", "safetensors") else None
    base = f"{_last(asked.repo)}-{_stem(found.path)}"
    for model in gguf_models(files):
        if found in model.files and model.count > 1:  # a part alone is of no use
            note = f"{_last(found.path)} is one of {model.count} parts: all of them are taken."
            return replace(_gguf([model], asked), asked=asked, note=note)
    return _Choice(asked, (found,), kind, base, folder=False)


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
        ArtifactFile(path, _url(info, file.path), file.size, file.sha256, file.git_sha1)
        for path, file in zip(paths, choice.files, strict=True)
    )
    name = choice.base if choice.folder else files[0].path
    if name_problem(name):
        name = f"{info.repo.replace('/', '-')}-{info.commit[:12]}"
    hub = HubSource(info.repo, info.commit, asked.revision, asked.quant, asked.path, asked.include, asked.exclude)
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


def _url(info: RepoInfo, path: str) -> str:
    return f"{HUB}/{info.repo}/resolve/{info.commit}/{quote(path)}"


def _refuse_bad(choice: _Choice, bad: dict[str, str]) -> None:
    """Refuse the repository if a file that would be taken has a name that may not be used."""
    asked = choice.asked
    for path, problem in bad.items():
        if asked.path:
            of_it = path.startswith(f"{asked.path}/")
        elif choice.format is HubFormat.GGUF:
            of_it = is_gguf(path) and quant_of(path) == asked.quant
        else:
            of_it = is_of_a_model(path)
        wanted = of_it or matches(path, asked.include)
        if wanted and not is_hidden(path) and not matches(path, asked.exclude):
            raise _refused(asked.repo, path, problem)


def _refused(repo: str, path: str, problem: str) -> SourceRefused:
    hint = "Nothing of it was taken. Tell whoever keeps the repository, or leave the file out with --exclude."
    return SourceRefused(f"{repo} has a file {path[:200]!a}, whose path {problem}.", hint=hint)


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    return _last(path).rpartition(".")[0] or _last(path)
