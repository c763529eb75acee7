"""Choice of files: from a reference and a repository's files to an artifact. Pure.

A GGUF model: its file, or a folder of its parts and companions. Else the folder of the whole model.
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
from flowhub_jobs.huggingface.reference_value import HubRef
from flowhub_jobs.huggingface.repository_urls import file_url, page_url
from flowhub_jobs.huggingface.responses import RepoFile, RepoInfo
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile, HubSource
from flowhub_jobs.values.enums import HubFormat, RepoKind

_LEAVE_OUT = "Nothing of it was taken. Tell the owner of the repository, or leave the file out with --exclude."


@dataclass(frozen=True, slots=True)
class Picked:
    """The artifact to fetch, and notes for the user on the choice."""

    artifact: Artifact
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Choice:
    """The files of a model. `ref` has the chosen quant or path filled in; `base` is the name of a folder of them."""

    ref: HubRef
    files: tuple[RepoFile, ...]
    format: HubFormat | None
    base: str
    folder: bool
    under: str = ""  # the folder of the repository that holds them
    note: str | None = None


def pick(info: RepoInfo, files: Sequence[RepoFile], ref: HubRef) -> Picked:
    """Return the artifact. Raises NotFound, UsageInvalid, and SourceRefused for names that may not be used."""
    ref = replace(ref, repo=info.repo)
    good, bad = usable(files)
    selected = [file for file in good if not matches(file.path, ref.exclude)]
    if not files:
        raise NotFound(f"The repository {info.repo} is empty.", hint="Look at its page at the Hub.")
    try:
        choice = _at_path(info, selected, ref, bad) if ref.path else _model(info, selected, ref)
    except NotFound as error:
        error.hint = " ".join(text for text in (error.hint, left_out(bad)) if text) or None
        raise
    choice = _with_included(choice, selected)
    _refuse_bad(info, choice, bad)
    offer = companion_offer(selected, choice.files) if choice.format is HubFormat.GGUF else None
    notes = [choice.note, offer, left_out(bad), gated(info)]
    return Picked(_artifact(info, choice), tuple(note for note in notes if note))


# The choice ------------------------------------------------------------------------------------------------------


def _model(info: RepoInfo, files: Sequence[RepoFile], ref: HubRef) -> _Choice:
    models = gguf_models(files) if ref.quant or info.kind is RepoKind.MODEL else []
    if ref.quant:
        return _by_label(models, files, ref)
    if models:
        return _gguf(*_preferred(models, ref), ref)
    model_files = tuple(whole_model(files)) if info.kind is RepoKind.MODEL else ()
    if any(file.path.lower().endswith(".safetensors") for file in model_files) or ref.include:
        return _Choice(ref, model_files, _format(info, model_files), _file_name(ref.repo), folder=True)
    return _whole_repository(info, files, ref)


def _whole_repository(info: RepoInfo, files: Sequence[RepoFile], ref: HubRef) -> _Choice:
    """Return the whole repository as a folder: a data set, or a model in none of the three formats."""
    visible_files = tuple(file for file in files if not is_hidden(file.path))
    if not visible_files:
        raise NotFound(f"{info.repo} holds no files that can be taken.", hint="Look at its page at the Hub.")
    note = None
    if info.kind is RepoKind.MODEL:
        note = f"It holds neither GGUF nor safetensors files: all its {len(visible_files)} files are taken."
    return _Choice(ref, visible_files, None, _file_name(ref.repo), folder=True, note=note)


def _gguf(model: GgufModel, note: str | None, ref: HubRef) -> _Choice:
    if not model.whole:
        title = model.quant or model.files[0].path
        raise NotFound(f"{ref.repo} has only {len(model.files)} of the {model.count} parts of {title}.")
    ref = replace(ref, quant=model.quant) if model.quant else replace(ref, path=model.files[0].path, quant=None)
    base = f"{_file_name(ref.repo)}-{model.quant or _stem(model.files[0].path)}"
    in_parts = (
        f"{model.quant or _file_name(model.files[0].path)} is in {model.count} parts." if model.count > 1 else None
    )
    notes = " ".join(part for part in (note, in_parts) if part)
    return _Choice(ref, model.files, HubFormat.GGUF, base, folder=len(model.files) > 1, note=notes or None)


def _by_label(models: Sequence[GgufModel], files: Sequence[RepoFile], ref: HubRef) -> _Choice:
    """Return the choice for the text after the colon: a quant's whole label, `latest`, or a file's name (Ollama)."""
    text = ref.quant or ""
    if text.lower() == "latest" and models:
        return _gguf(*_preferred(models, replace(ref, quant=None)), ref)
    if is_gguf(text):
        with_this_name = [
            model for model in models if any(_file_name(file.path).lower() == text.lower() for file in model.files)
        ]
        if with_this_name:
            return _gguf(_single_model(with_this_name, ref), None, ref)
    label = quant_of(text) or text.upper()
    # Only Unsloth has `XL` kinds, under `UD-`; users leave the prefix out.
    short = f"UD-{label}" if label.endswith("_XL") else label
    matching = [model for model in models if model.quant == label] or [m for m in models if m.quant == short]
    if not matching:
        raise _no_such_quant(models, files, ref, label)
    return _gguf(_single_model(matching, ref), None, ref)


def _no_such_quant(models: Sequence[GgufModel], files: Sequence[RepoFile], ref: HubRef, label: str) -> NotFound:
    cut = {path: pieces for path, pieces in cut_pieces(files).items() if quant_of(path) == label}
    have = described(models)
    hint = f"It has: {list_some(have)}." if have else "It has no GGUF files with a quant in their name."
    for path, pieces in cut.items():
        reference = HubRef(ref.repo, ref.revision, path=pieces[0].path, kind=ref.kind).text
        return NotFound(
            f"{ref.repo} has {label} only in {len(pieces)} pieces that must be joined: {_file_name(path)}.",
            hint=f"`flowhub enqueue {reference}` downloads the pieces. {hint}",
        )
    return NotFound(f"{ref.repo} has no {label}.", hint=hint)


def _preferred(models: Sequence[GgufModel], ref: HubRef) -> tuple[GgufModel, str | None]:
    first = models[0]
    chosen = _single_model([model for model in models if model.quant == first.quant], ref)
    others = [model for model in models if model.quant != chosen.quant]
    if not labels(others):
        return chosen, None
    return chosen, f"No quant was named: {chosen.quant} is taken. There are also {list_some(described(others))}."


def _single_model(models: Sequence[GgufModel], ref: HubRef) -> GgufModel:
    if len(models) == 1:
        return models[0]
    paths = sorted(HubRef(ref.repo, ref.revision, path=model.files[0].path, kind=ref.kind).text for model in models)
    kind = f"are {models[0].quant}" if models[0].quant else "name no quant"
    raise UsageInvalid(f"{len(models)} models of {ref.repo} {kind}.", hint=f"Name one: {list_some(paths)}.")


def _at_path(info: RepoInfo, files: Sequence[RepoFile], ref: HubRef, bad: dict[str, str]) -> _Choice:
    path = (ref.path or "").rstrip("/")
    if path in bad:
        raise _refused(info.repo, path, bad[path])
    if exact := [file for file in files if file.path == path]:
        return _one_file(files, exact[0], ref)
    inside = [file for file in files if file.path.startswith(f"{path}/")]
    if not inside:
        near = get_close_matches(path, [file.path for file in files], n=3)
        hint = f"Did you mean {', '.join(near)}?" if near else f"It has: {list_some([file.path for file in files])}."
        raise NotFound(f"{info.repo} has no file or folder {path!r}.", hint=hint)
    base = f"{_file_name(ref.repo)}-{_file_name(path)}"
    if (models := gguf_models(inside)) and info.kind is RepoKind.MODEL:
        return replace(_gguf(*_preferred(models, ref), ref), ref=ref, base=base)
    model_files = tuple(whole_model(inside)) if _has_weights(inside) and info.kind is RepoKind.MODEL else ()
    model_files = model_files or tuple(file for file in inside if not is_hidden(file.path))
    return _Choice(ref, model_files, _format(info, model_files), base, folder=True, under=f"{path}/")


def _one_file(files: Sequence[RepoFile], chosen: RepoFile, ref: HubRef) -> _Choice:
    suffix = chosen.path.lower().rpartition(".")[2]
    kind = HubFormat(suffix) if suffix in ("gguf", "safetensors") else None
    base = f"{_file_name(ref.repo)}-{_stem(chosen.path)}"
    for model in gguf_models(files):
        if chosen in model.files and model.count > 1:  # a part alone is of no use
            note = f"{_file_name(chosen.path)} is one of {model.count} parts: all of them are taken."
            return replace(_gguf(model, None, ref), ref=ref, note=note)
    for path, pieces in cut_pieces(files).items():
        if chosen in pieces and len(pieces) > 1:
            note = (
                f"{_file_name(path)} was cut into {len(pieces)} pieces: all are taken. Join them with `cat` before use."
            )
            return _Choice(ref, pieces, None, f"{_file_name(ref.repo)}-{_stem(path)}", folder=True, note=note)
    return _Choice(ref, (chosen,), kind, base, folder=False)


def _has_weights(files: Sequence[RepoFile]) -> bool:
    return any(file.path.lower().endswith(".safetensors") for file in files)


def _with_included(choice: _Choice, files: Sequence[RepoFile]) -> _Choice:
    for glob in choice.ref.include:
        if not any(matches(file.path, [glob]) for file in files):
            raise NotFound(f"No file of {choice.ref.repo} matches --include {glob!r}.")
    chosen = set(choice.files)
    included = [file for file in files if file not in chosen and matches(file.path, choice.ref.include)]
    if not included and not choice.files:
        raise NotFound(f"--exclude leaves nothing of {choice.ref.repo}.")
    return replace(choice, files=(*choice.files, *included), folder=choice.folder or bool(included))


def _format(info: RepoInfo, files: Sequence[RepoFile]) -> HubFormat | None:
    if not any(file.path.lower().endswith(".safetensors") for file in files):
        return None
    is_mlx = info.library == "mlx" or "mlx" in info.tags or info.repo.startswith("mlx-community/")
    return HubFormat.MLX if is_mlx else HubFormat.SAFETENSORS


# The artifact ----------------------------------------------------------------------------------------------------


def _artifact(info: RepoInfo, choice: _Choice) -> Artifact:
    ref, paths = choice.ref, _names_in(choice)
    files = tuple(
        ArtifactFile(
            path, file_url(info.repo, info.commit, file.path, info.kind), file.size, file.sha256, file.git_sha1
        )
        for path, file in zip(paths, choice.files, strict=True)
    )
    name = choice.base if choice.folder else files[0].path
    if name_problem(name):
        name = f"{info.repo.replace('/', '-')}-{info.commit[:12]}"
    hub = HubSource(info.repo, info.commit, ref.revision, ref.quant, ref.path, ref.include, ref.exclude, info.kind)
    return Artifact(ref.text, None, None, choice.format, name, choice.folder, files, hub)


def _names_in(choice: _Choice) -> list[str]:
    """Return the files' names in the store. The parts of a GGUF go into one folder, whatever their folders were."""
    paths = [file.path.removeprefix(choice.under) for file in choice.files]
    file_names = [_file_name(path) for path in paths]
    flat = not choice.folder or choice.format is HubFormat.GGUF
    names = file_names if flat and len({same_name_key(name) for name in file_names}) == len(file_names) else paths
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(same_name_key(name), name)
        if other is not name:
            both = f"{choice.ref.repo} has the files {other[:200]!a} and {name[:200]!a}"
            text = f"{both}, whose names differ only in case or in the form of accents: no store can have both."
            raise SourceRefused(text, hint=_LEAVE_OUT)
    return names


def _refuse_bad(info: RepoInfo, choice: _Choice, bad: dict[str, str]) -> None:
    """Raise SourceRefused if a file of the choice has a name that may not be used."""
    ref = choice.ref
    for path, problem in bad.items():
        is_needed = _is_wanted(info, choice, path) or matches(path, ref.include)
        if is_needed and not is_hidden(path) and not matches(path, ref.exclude):
            raise _refused(ref.repo, path, problem)


def _is_wanted(info: RepoInfo, choice: _Choice, path: str) -> bool:
    """Return whether a file would be part of the choice if its name were usable."""
    ref = choice.ref
    if choice.format is HubFormat.GGUF:
        return is_gguf(path) and ref.quant is not None and quant_of(path) == ref.quant
    if ref.path and not path.startswith(f"{ref.path}/"):
        return False
    # A text file for readers is no part of a model; a vocabulary always has a plain name.
    of_a_model = is_of_a_model(path) and not path.lower().endswith(".txt")
    return of_a_model if choice.format else choice.folder or ref.path is not None


def _refused(repo: str, path: str, problem: str) -> SourceRefused:
    return SourceRefused(f"{repo} has a file {path[:200]!a}, whose path {problem}.", hint=_LEAVE_OUT)


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    return _file_name(path).rpartition(".")[0] or _file_name(path)


SHOWN = 12  # quants or files that a sentence names
_COMPANIONS = ("F16", "BF16", "Q8_0", "F32")  # the order in which one is offered


def companion_offer(files: Sequence[RepoFile], chosen: Sequence[RepoFile]) -> str | None:
    """Return an offer of the best companion, unless one is taken already."""
    offered = [file for file in files if is_companion(file.path)]
    if not offered or set(offered) & set(chosen):
        return None
    best = min(offered, key=lambda file: _COMPANIONS.index(q) if (q := quant_of(file.path)) in _COMPANIONS else 9)
    name = best.path.rpartition("/")[2]
    return f"It has a companion for images or sound: add --include {name} to download that too."


def left_out(bad: dict[str, str]) -> str | None:
    odd = [path for path in bad if not is_hidden(path)]
    return f"Left out, as their names may not be used: {len(odd)} ({odd[0][:60]!a})." if odd else None


def gated(info: RepoInfo) -> str | None:
    if not info.gated:
        return None
    page = page_url(info.repo, info.kind)
    return f"It is gated: accept its terms at {page}, and set HF_TOKEN, before a worker downloads it."


def list_some(names: Sequence[str]) -> str:
    """Return the first twelve names as text, and the number of the others."""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest
