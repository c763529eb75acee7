"""Filters of a repository's files: globs, and the files that a whole model needs. Pure."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from flowhub_jobs.fs.names import path_problem
from flowhub_jobs.huggingface.responses import RepoFile

_OF_A_MODEL = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".safetensors")
# The same weights for other programs, and documents: taken only if a reference or --include names them.
_ASIDE = {"onnx", "openvino", "coreml", "tflite", "original", "gguf", "assets", "images", "figures", "runs", "examples"}


def matches(path: str, globs: Iterable[str]) -> bool:
    """Return whether a glob covers the path; one without a slash may cover its last part alone. Case does not count."""
    folded = path.lower()
    return any(_covers(folded, glob.lower()) for glob in globs)


def _covers(path: str, glob: str) -> bool:
    if glob.endswith("/"):
        glob += "*"
    return fnmatchcase(path, glob) or ("/" not in glob and fnmatchcase(path.rpartition("/")[2], glob))


def is_of_a_model(path: str) -> bool:
    """Return whether a model needs the file: settings, tokenizer, weights as safetensors."""
    folders = path.lower().split("/")[:-1]
    return path.lower().endswith(_OF_A_MODEL) and not _ASIDE & set(folders)


def whole_model(files: Sequence[RepoFile]) -> list[RepoFile]:
    """Return the files of an MLX or safetensors model, each weight once."""
    model_files = [file for file in files if is_of_a_model(file.path)]
    names = {file.path.lower() for file in model_files}
    has_weights = any(name.startswith("model") and name.endswith(".safetensors") for name in names)
    # Mistral's repositories have the same weights once more, in one file.
    return [file for file in model_files if not (has_weights and _is_consolidated(file.path))]


def _is_consolidated(path: str) -> bool:
    name = path.lower()
    return name.startswith("consolidated") and name.endswith(".safetensors")


def is_hidden(path: str) -> bool:
    """Return whether a part of the path begins with a dot, as .gitattributes does: never a part of a model."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/"))


def usable(files: Iterable[RepoFile]) -> tuple[list[RepoFile], dict[str, str]]:
    """Return the files whose names may be used, and the others by path with the problem of each."""
    good, bad = [], {}
    for file in files:
        if problem := path_problem(file.path):
            bad[file.path] = problem
        else:
            good.append(file)
    return good, bad
