"""The public Python API, with the names of the contract; `flowhub_jobs` itself offers them.

Settings come from the environment and the home's config.toml.
"""

from collections.abc import Sequence
from pathlib import Path

from flowhub_jobs.catalogs.resolve import find_model
from flowhub_jobs.catalogs.resolve import resolve_option as resolve
from flowhub_jobs.catalogs.schema import DownloadOption, HubCatalog, HubModel
from flowhub_jobs.catalogs.search_filters import Filters
from flowhub_jobs.device.device_values import Device
from flowhub_jobs.device.probe import probe
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.errors.guide import hint_in_call
from flowhub_jobs.home import opened, stores_of
from flowhub_jobs.operations.catalogs.active import catalog_in_force
from flowhub_jobs.operations.download_without_queue import OnProgress, download_option
from flowhub_jobs.operations.library.match import file_to_open
from flowhub_jobs.operations.library.outdated import OutdatedCheck, check_outdated
from flowhub_jobs.operations.search.model_needs import Variant
from flowhub_jobs.operations.search.search import SearchRequest, SearchResult, run_search
from flowhub_jobs.operations.search.variants import judge
from flowhub_jobs.operations.session import Session
from flowhub_jobs.settings import load_settings
from flowhub_jobs.values.artifacts import InstalledModel, LocalLlm


def catalog() -> "HubCatalog":
    """Return the catalog in force. Raises CatalogMalformed, CatalogUnreadable, and from a URL CatalogUnreachable."""
    return catalog_in_force(load_settings()).catalog


def find(model_id: str) -> "HubModel":
    """Return the model of the catalog in force. Raises NotFound, with the nearest names in its hint."""
    return find_model(catalog(), model_id)


def resolve_option(model: "HubModel", option_id: str | None = None) -> "DownloadOption":
    """Return the named option of a model, else its first. Raises NotFound."""
    return resolve(model, option_id)


def list_local_llms() -> list[LocalLlm]:
    """Return the models in the stores, by name: files and folders, installed or put there by hand."""
    models = [model for store in stores_of(load_settings()) for model in store.models()]
    return sorted(models, key=lambda model: model.name)


def delete_local_llm(name: str) -> int:
    """Remove a model by its bare name, a folder whole; return the bytes it had.

    Raises UsageInvalid for anything but a bare name, NotFound, and Busy while a job works on it.
    """
    with opened(load_settings()) as home:
        return Session(home).installed.remove(name)


def download(option: "DownloadOption", dest_dir: str | Path, on_progress: "OnProgress | None" = None) -> Path:
    """Download and verify what an option installs into `dest_dir`; return its path. No queue, no database.

    `on_progress(stage, bytes_done, bytes_total)` is called about twice a second: stage is "resolve", "download",
    "verify" or "install"; bytes_total is None while the size is unknown. Its parameters may have any names; those that
    have exactly these three are called by name.
    An interrupted call is resumed by the next one. Raises the errors of flowhub_jobs.errors: NameTaken, Busy (another
    process downloads the same), DiskFull, DigestMismatch, SizeMismatch and those of the source.
    """
    try:
        return download_option(option, dest_dir, on_progress)
    except FlowhubError as error:
        error.hint = hint_in_call(error)
        raise


def search(
    *terms: str,
    format: str | None = None,  # noqa: A002, the catalog's own word
    params: str | None = None,
    max_size: str | None = None,
    license: str | None = None,  # noqa: A002
    tags: Sequence[str] = (),
    publisher: str | None = None,
    fits: bool = False,
    installed: bool = False,
    sort: str | None = None,
    limit: int | None = None,
) -> "SearchResult":
    """Return the models of the catalogs in force that have all these words, the best match first.

    The filters are those of `flowhub search`, in its words: `params="7..14B"`, `max_size="10G"`, `sort="fit"`. Raises
    UsageInvalid for one that is not understood. Nothing found is an answer.
    """
    filters = Filters.typed(
        format=format, params=params, max_size=max_size, license=license, tags=tuple(tags), publisher=publisher
    )
    return run_search(load_settings(), SearchRequest(terms, filters, fits, installed, sort, limit))


def machine() -> "Device":
    """Return this machine's memory, GPUs and the disk of the store. An unknown figure is None, never 0."""
    return probe(load_settings().store)


def fits(ref: str, *, context: int | None = None, on: "Device | None" = None) -> "list[Variant]":
    """Return each variant that a reference can mean, with a verdict: does it run on this machine, or on `on`.

    `context` is in tokens. Raises NotFound, UsageInvalid, and for a repository of the Hub the Hub's errors.
    """
    with opened(load_settings()) as home:
        return judge(Session(home), ref, on, context=context)


def installed() -> list[InstalledModel]:
    """Return the installed models by name, joined to the catalog in force; also those of a store that is offline."""
    with opened(load_settings()) as home:
        return Session(home).installed.models()


def outdated(*names: str) -> "OutdatedCheck":
    """Return the installed models (of these names, or all) of which the catalog or the Hub has another version."""
    with opened(load_settings()) as home:
        return check_outdated(Session(home), names or None)


def path(ref: str) -> Path:
    """Return the path that a runtime opens for an installed model: a file, the first of its parts, or a folder.

    Raises NotFound, and UsageInvalid where several variants are installed.
    """
    with opened(load_settings()) as home:
        return file_to_open(Session(home).installed.find_one(ref).path)
