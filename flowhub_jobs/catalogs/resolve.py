"""Resolves a typed reference to a model and an option of the catalog, or to the URL of a file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowhub_jobs.catalogs.suggest import nearest, with_all_words
from flowhub_jobs.errors import AddressRefused, NotFound, UsageInvalid
from flowhub_jobs.fs import names
from flowhub_jobs.net import redaction, urls
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile
from flowhub_jobs.values.enums import HubFormat
from flowhub_jobs.values.sha256_text import parse_sha256, sha256_in_fragment

if TYPE_CHECKING:  # pydantic is only paid for by those who load a catalog
    from flowhub_jobs.catalogs.schema import DownloadOption, HubCatalog, HubModel

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_ONE_SLASH = re.compile(r"https?:/(?!/)", re.IGNORECASE)
# Typed with a single slash or none, these are still addresses, not models (`file:/etc/passwd`, `data:…`).
_OTHER_SCHEME = re.compile(
    r"(?:[a-z][a-z0-9+.-]*:[/\\]|(?:file|s?ftp|data|javascript|magnet|s3|gs|ipfs|ssh|torrent):)", re.IGNORECASE
)
# Sources that a later version reads; `docker:` and `modelscope:` are what other programs call them.
_LATER = re.compile(r"(?P<scheme>ms|modelscope|ollama|oci|docker):", re.IGNORECASE)
_LATER_NAMES = {"ms": "ModelScope", "modelscope": "ModelScope", "ollama": "Ollama"}
_HUB_REFERENCE = re.compile(r"(?:hf:|(?:https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)(?:/|$))", re.IGNORECASE)
_HUB_FILE = re.compile(r"https?://[^/]+/[^?#]+/resolve/[^?#]+", re.IGNORECASE)
_MODEL = re.compile(r"([a-z0-9][a-z0-9._-]*)(?:[@:]([a-z0-9][a-z0-9._-]*))?")
_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}(@[\w./-]+)?(:[\w.-]+)?", re.ASCII)
SHOWN_MAX = 200  # characters of what was typed that an error repeats: it may be a whole clipboard
PLACEHOLDER = "download"  # the name of a file whose URL has none, until its server is asked
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
            f"{redaction.public_url(text)!r} is a repository of the Hub, not a model of the catalog.",
            hint="Give a model of the catalog, or the URL of one file (…/resolve/REVISION/FILE).",
        )
    scheme = _SCHEME.match(text)
    if scheme and scheme[1].lower() in ("http", "https"):
        return True
    if later := _LATER.match(text):
        raise _to_come(text, later["scheme"].lower())
    public = redaction.public_url(text)
    if _ONE_SLASH.match(text):
        raise UsageInvalid(f"The URL {public!r} lacks a slash.", hint="Write https:// and the name of the host.")
    if is_other_scheme(text):
        scheme_name = text.partition(":")[0].lower()
        message = f"The reference {public!r} uses the scheme {scheme_name}, which flowhub does not support."
        raise AddressRefused(message, hint="Give the https URL of the file, a model of the catalog, or hf:owner/repo.")
    return False


def _to_come(text: str, scheme: str) -> AddressRefused:
    source = _LATER_NAMES.get(scheme, "OCI registries")
    hint = "Until then, give the https URL of the file, or the same model as hf:owner/repo."
    return AddressRefused(
        f"flowhub does not support references to {source} ({scheme}:) yet: {redaction.public_url(text)!r}.",
        hint=hint,
    )


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
        raise UsageInvalid(f"{redaction.public_url(text)!r} is a URL, not a model of the catalog.")
    parts = _MODEL.fullmatch(text.strip().lower())
    if parts is None:
        hint = "Write `model` or `model@option`, e.g. qwen3-8b@q4_k_m, hf:owner/repo, or the URL of a file."
        if _REPOSITORY.fullmatch(text.strip()):
            hint = f"A repository of the Hub is written hf:{text.strip()[:SHOWN_MAX]}."
        # What stands before an @ may be a name and a password of an address; in a plain word it is a model.
        public = redaction.public_url(text) if set(text) & set(":/") else text
        raise UsageInvalid(f"{public[:SHOWN_MAX]!r} is not a reference.", hint=hint)
    return ModelRef(parts[1], parts[2])


def find_model(catalog: "HubCatalog", model_id: str, option_id: str | None = None) -> "HubModel":
    """Return the model with this id, or raise `no_model`."""
    if (model := catalog.by_id.get(model_id)) is not None:
        return model
    raise no_model(model_id, {model.id: model.name for model in catalog.models}, option_id)


def no_model(model_id: str, titles: dict[str, str], option_id: str | None = None) -> NotFound:
    """Return the error that names the nearest models; `titles` are the names of all by their ids.

    The option may be part of the name: Ollama writes `llama3.2:3b` where the catalog has llama-3-2-3b-instruct.
    """
    near = with_all_words(model_id, option_id, titles) if option_id else []
    near = near or nearest(model_id, titles)
    search = f"`flowhub search {model_id[:SHOWN_MAX]}` looks through names, families and publishers."
    hint = f"Did you mean {', '.join(near)}? {search}" if near else search
    return NotFound(f"The catalog has no model {model_id[:SHOWN_MAX]!r}.", hint=hint)


def resolve_option(model: "HubModel", option_id: str | None = None) -> "DownloadOption":
    """Return the named option, else the model's first; NotFound lists the options."""
    if option_id is None:
        return model.downloads[0]
    for option in model.downloads:
        if option.id == option_id:
            return option
    raise no_option(model.id, [option.id for option in model.downloads], option_id)


def no_option(model_id: str, ids: Sequence[str], option_id: str) -> NotFound:
    """Return the error that names the options that the model has."""
    near = nearest(option_id, ids, limit=3)
    hint = f"Its options: {', '.join(ids)}." + (f" Did you mean {near[0]}?" if near and len(ids) > 1 else "")
    return NotFound(f"The model {model_id!r} has no option {option_id!r}.", hint=hint)


def artifact_for(catalog: "HubCatalog", text: str) -> Artifact:
    """Return the artifact of a reference into the catalog; the errors of the three functions above."""
    from flowhub_jobs.catalogs.schema import artifact

    reference = parse_reference(text)
    model = find_model(catalog, reference.model, reference.option)
    return artifact(model, resolve_option(model, reference.option))


def artifact_for_url(url: str, sha256: str | None, name: str | None = None, *, may_lack_name: bool = False) -> Artifact:
    """Return the artifact of one file at a URL, which no catalog knows; `sha256` as `parse_sha256` reads it.

    `name` is the file's, in place of the one that the URL ends in. `may_lack_name`: where neither can be used, the
    artifact is called `PLACEHOLDER`, and its server is asked for a name later. Raises AddressRefused for an address
    that is not allowed, UsageInvalid for an invalid digest and for an address that ends in no usable file name.

    The URL's fragment is never sent to a server (RFC 9110, section 7.1), so it is no part of the address; a sha256 in
    it pins the file. UsageInvalid where it contradicts `sha256`.
    """
    url, _, fragment = url.strip().partition("#")
    pin = _agreed_pin(_pin(sha256), _pin(sha256_in_fragment(fragment)))
    is_address(url)  # refuses pages of the Hub and other schemes, each with its own message
    urls.check_address(url, pinned=pin is not None)
    public = redaction.public_url(url)
    name = _file_name(public, names.filename_from_url(url), name, may_lack_name=may_lack_name)
    file = ArtifactFile(name, url, sha256=pin)
    return Artifact(public, None, None, format_of(name), name, folder=False, files=(file,))


def _file_name(public_url: str, from_url: str, chosen: str | None, *, may_lack_name: bool) -> str:
    if chosen is not None:
        if problem := names.name_problem(chosen):
            raise UsageInvalid(f"--name {chosen[:80]!r} cannot be a file's name: it {problem}.")
        return chosen
    problem = names.name_problem(from_url)
    if problem and not may_lack_name:
        hint = "Give the file a name: --name model.gguf."
        raise UsageInvalid(f"{public_url!r} ends in no usable file name: it {problem}.", hint=hint)
    return PLACEHOLDER if problem else from_url


def format_of(name: str) -> HubFormat | None:
    """Return the format that a file's suffix promises."""
    return _FORMATS.get(name[name.rfind(".") :].lower())


def _agreed_pin(typed: str | None, in_url: str | None) -> str | None:
    if typed and in_url and typed != in_url:
        hint = "Give one of them: the sha256 of the file that you want."
        raise UsageInvalid(f"--sha256 is {typed}, and the fragment of the URL says sha256 {in_url}.", hint=hint)
    return typed or in_url


def _pin(sha256: str | None) -> str | None:
    if sha256 is None:
        return None
    digest = parse_sha256(sha256)
    if digest is None:
        hint = "Give the file's sha256: 64 hex digits, as `sha256sum FILE` prints them."
        raise UsageInvalid(f"The digest {sha256[:80]!r} is not 64 hex digits.", hint=hint)
    return digest
