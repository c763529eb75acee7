"""From what a person types to what is to be fetched: a reference becomes a model and an option, or an address."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowhub_jobs import addresses, names
from flowhub_jobs.artifacts import Artifact, ArtifactFile
from flowhub_jobs.catalogs.nearest import nearest
from flowhub_jobs.errors import AddressRefused, NotFound, UsageInvalid
from flowhub_jobs.kinds import HubFormat

if TYPE_CHECKING:  # pydantic is only paid for by those who load a catalog
    from flowhub_jobs.catalogs.schema import DownloadOption, HubCatalog, HubModel

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# Typed with a single slash or none, these are still addresses, not models (`file:/etc/passwd`, `data:…`).
_OTHER_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:[/\\]|(?:file|ftp|data|javascript):)", re.IGNORECASE)
_HUB_REFERENCE = re.compile(r"(?:hf:|(?:https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)(?:/|$))", re.IGNORECASE)
_HUB_FILE = re.compile(r"https?://[^/]+/[^?#]+/resolve/[^/?#]+/[^?#]+", re.IGNORECASE)
_MODEL = re.compile(r"([a-z0-9][a-z0-9._-]*)(?:[@:]([a-z0-9][a-z0-9._-]*))?")
_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}(@[\w./-]+)?(:[\w.-]+)?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FORMATS = {".gguf": HubFormat.GGUF, ".safetensors": HubFormat.SAFETENSORS}


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A reference into the catalog; without an option it means the model's first."""

    model: str
    option: str | None


def is_address(text: str) -> bool:
    """Return whether the reference is the URL of a file: no catalog is needed for it.

    Any scheme but http and https raises AddressRefused; a link to a page of the Hub raises UsageInvalid.
    """
    text = text.strip()
    if _HUB_REFERENCE.match(text) and not _HUB_FILE.match(text):
        raise UsageInvalid(
            f"{addresses.public_url(text)!r} is a repository of the Hub, not a model of the catalog.",
            hint="Give a model of the catalog, or the URL of one file (…/resolve/REVISION/FILE).",
        )
    scheme = _SCHEME.match(text)
    if scheme and scheme[1].lower() in ("http", "https"):
        return True
    if is_other_scheme(text):
        raise AddressRefused(
            f"The reference {addresses.public_url(text)!r} is of a scheme that flowhub does not fetch."
        )
    return False


def is_other_scheme(text: str) -> bool:
    """Return whether the text is an address of any scheme but http and https."""
    scheme = _SCHEME.match(text)
    if scheme:
        return scheme[1].lower() not in ("http", "https")
    return _OTHER_SCHEME.match(text) is not None


def parse_reference(text: str) -> ModelRef:
    """Return the model and the option of `model`, `model@option` or `model:option`; case does not count.

    UsageInvalid if it is none of them, AddressRefused and UsageInvalid as `is_address` says.
    """
    if is_address(text):
        raise UsageInvalid(f"{addresses.public_url(text)!r} is an address, not a model of the catalog.")
    parts = _MODEL.fullmatch(text.strip().lower())
    if parts is None:
        hint = "Write `model` or `model@option`, e.g. qwen3-8b@q4_k_m, hf:owner/repo, or the URL of a file."
        if _REPOSITORY.fullmatch(text.strip()):
            hint = f"A repository of the Hub is written hf:{text.strip()}."
        raise UsageInvalid(f"{addresses.public_url(text)!r} is not a reference.", hint=hint)
    return ModelRef(parts[1], parts[2])


def find_model(catalog: "HubCatalog", model_id: str) -> "HubModel":
    """Return the model with this id, or raise NotFound with the nearest names."""
    if (model := catalog.by_id.get(model_id)) is not None:
        return model
    near = nearest(model_id, {model.id: model.name for model in catalog.models})
    search = f"`flowhub search {model_id}` looks through names, families and publishers."
    hint = f"Did you mean {', '.join(near)}? {search}" if near else search
    raise NotFound(f"The catalog has no model {model_id!r}.", hint=hint)


def resolve_option(model: "HubModel", option_id: str | None = None) -> "DownloadOption":
    """Return the named option, else the model's first; NotFound lists the options."""
    if option_id is None:
        return model.downloads[0]
    for option in model.downloads:
        if option.id == option_id:
            return option
    ids = [option.id for option in model.downloads]
    near = nearest(option_id, ids, limit=3)
    hint = f"Its options: {', '.join(ids)}." + (f" Did you mean {near[0]}?" if near and len(ids) > 1 else "")
    raise NotFound(f"The model {model.id!r} has no option {option_id!r}.", hint=hint)


def artifact_for(catalog: "HubCatalog", text: str) -> Artifact:
    """Return what a reference into the catalog asks for; the errors of the three functions above."""
    from flowhub_jobs.catalogs.schema import artifact

    wanted = parse_reference(text)
    model = find_model(catalog, wanted.model)
    return artifact(model, resolve_option(model, wanted.option))


def artifact_for_url(url: str, sha256: str | None) -> Artifact:
    """Return the artifact of one file at a URL, which no catalog knows; `sha256` is 64 hex digits in any case.

    AddressRefused where the address may not be asked, UsageInvalid for a digest that is none and for an
    address that ends in no usable file name.
    """
    url = url.strip()
    pin = _pin(sha256)
    is_address(url)  # refuses a page of the Hub, and other schemes in words of their own
    addresses.check_address(url, pinned=pin is not None)
    name = names.filename_from_url(url)
    shown = addresses.public_url(url)
    if problem := names.name_problem(name):
        raise UsageInvalid(f"{shown!r} ends in no usable file name: it {problem}.", hint="Give the URL of a file.")
    suffix = name[name.rfind(".") :].lower()
    file = ArtifactFile(name, url, sha256=pin)
    return Artifact(shown, None, None, _FORMATS.get(suffix), name, folder=False, files=(file,))


def _pin(sha256: str | None) -> str | None:
    if sha256 is None:
        return None
    digest = sha256.strip().lower()
    if not _SHA256.fullmatch(digest):
        raise UsageInvalid(f"The digest {sha256[:80]!r} is not 64 hex digits.", hint="Give the file's sha256.")
    return digest
