"""The name of a job or a model on a page: the catalog's, else a part of the reference. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from flowhub_jobs.values.enums import HubFormat, JobKind
from flowhub_jobs.values.jobs import Job

FORMATS = {HubFormat.GGUF: "GGUF", HubFormat.MLX: "MLX", HubFormat.SAFETENSORS: "safetensors"}
PROGRAMS = {
    "comfyui": "ComfyUI",
    "hf-cache": "the Hub's cache",
    "jan": "Jan",
    "llama-cpp": "llama.cpp",
    "lm-studio": "LM Studio",
    "localai": "LocalAI",
    "ollama": "Ollama",
}
_VERBS = {JobKind.VERIFY: "Verify", JobKind.EXPORT: "Export", JobKind.IMPORT: "Import", JobKind.MOVE: "Move"}


@dataclass(frozen=True, slots=True)
class Name:
    """`about` is the second line: the option, the format, where it is from."""

    name: str
    about: str


def name_of_job(job: Job, titles: Mapping[str, str]) -> Name:
    """Return how a job is named; `titles` are the catalog's names by model."""
    name = name_of(job.ref, job.model, job.option, job.format, len(job.files), titles)
    verb = _VERBS.get(job.kind)
    return Name(f"{verb} {name.name}", name.about) if verb else name


def name_of(
    ref: str,
    model: str | None,
    option: str | None,
    model_format: HubFormat | None,
    files: int,
    titles: Mapping[str, str],
) -> Name:
    details = [option or ""]
    if model_format and FORMATS[model_format].lower() != (option or "").lower():
        details.append(FORMATS[model_format])
    if model:
        name = titles.get(model, model)
    elif ref.startswith("hf:"):
        owner, _, name = ref.removeprefix("hf:").rpartition("/")
        details.append(f"{owner} on the Hub" if owner else "")
    elif ref.startswith(("http://", "https://")):
        parts = urlsplit(ref)
        name, host = parts.path.rpartition("/")[2] or ref, parts.hostname or ""
        details.append(host)
    else:
        name = ref
    details.append(f"{files} files" if files > 1 else "")
    return Name(name, " · ".join(part for part in details if part))


def programs_named(programs: Sequence[str]) -> str:
    """Return the names of programs as people write them; of a folder, its path."""
    return ", ".join(PROGRAMS.get(name, name.removeprefix("dir:")) for name in programs)
