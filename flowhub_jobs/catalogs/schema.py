"""The catalog as pydantic models, read strictly: absent is unknown, and a fault refuses the whole catalog."""

from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, Strict, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from flowhub_jobs.catalogs import validation_rules
from flowhub_jobs.catalogs.field_types import (
    ApiVersion,
    FileBytes,
    FileName,
    FilePath,
    FormatField,
    Gigabytes,
    GitSha1,
    Id,
    ModelBytes,
    OffloadWord,
    Sha256Field,
    Text,
    Title,
    WebPage,
    Whole,
    Words,
)
from flowhub_jobs.catalogs.parsing import CatalogUnparsable, read_object
from flowhub_jobs.catalogs.validation_errors import first_fault_text, rule_error
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.fs import names
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile


class _CatalogModel(BaseModel):
    """camelCase outside, frozen inside; unknown fields are ignored, as the contract says."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", strict=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if isinstance(data, dict) and None in data.values():
            return {name: value for name, value in data.items() if value is not None}
        return data


class Hardware(_CatalogModel):
    """Requirements of a model: RAM in GiB, disk in GB."""

    min_ram_gb: Gigabytes | None = None
    recommended_ram_gb: Gigabytes | None = None
    disk_gb: Gigabytes | None = None
    platforms: Words = ()


class HubVersion(_CatalogModel):
    """One release of the model; `released_at` as the catalog writes it."""

    version: Text | None = None
    released_at: Text | None = None
    notes: Text | None = None


class DownloadFile(_CatalogModel):
    """One file of a folder artifact; `path` is inside the folder."""

    path: FilePath
    url: str
    size_bytes: FileBytes | None = None
    sha256: Sha256Field | None = None
    git_sha1: GitSha1 | None = None

    @model_validator(mode="after")
    def _safe_address(self) -> Self:
        _raise_if_broken(validation_rules.address(self.url, pinned=self.sha256 is not None))
        return self


class DownloadOption(_CatalogModel):
    """One download variant of a model: one file (`url`), or a folder of files (`files`)."""

    id: Id
    format: FormatField
    quantization: Text | None = None
    offload: OffloadWord | None = None
    filename: FileName | None = None
    url: str | None = None
    size_bytes: ModelBytes | None = None
    sha256: Sha256Field | None = None
    git_sha1: GitSha1 | None = None
    files: Annotated[tuple[DownloadFile, ...], Strict(False), Field(max_length=validation_rules.MAX_FILES)] | None = (
        None
    )
    # `download(option, dest)` gets the option alone, and must know whose it is.
    _model_id: str | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        _raise_if_broken(validation_rules.source(self.url, self.files is not None))
        if self.url is not None:
            _raise_if_broken(validation_rules.address(self.url, pinned=self.sha256 is not None))
            _raise_if_broken(validation_rules.derived_filename(self.filename, self.url))
        if self.files is not None:
            _raise_if_broken(validation_rules.folder([file.path for file in self.files]))
        return self

    @property
    def model_id(self) -> str | None:
        """Return the id of the model that this option belongs to, or None if it was made by hand."""
        return self._model_id

    @property
    def size_bytes_total(self) -> int | None:
        """Return the option's size on the disk, or None where the catalog does not give it."""
        return artifact(None, self).size


class HubModel(_CatalogModel):
    """One model and its download variants; the first is the default."""

    id: Id
    name: Title
    publisher: Text | None = None
    family: Text | None = None
    description: Text | None = None
    tags: Words = ()
    license: Text | None = None
    parameters: Text | None = None
    context_length: Whole | None = None
    homepage: WebPage | None = None
    hardware: Hardware | None = None
    versions: Annotated[tuple[HubVersion, ...], Strict(False)] = ()
    downloads: Annotated[tuple[DownloadOption, ...], Strict(False), Field(max_length=validation_rules.MAX_OPTIONS)]

    @model_validator(mode="after")
    def _own_options(self) -> Self:
        _raise_if_broken(validation_rules.options([option.id for option in self.downloads]))
        for option in self.downloads:
            option._model_id = self.id
            if option.files is not None:
                _raise_if_broken(validation_rules.folder_name(self.id, option.id))
        return self


class HubCatalog(_CatalogModel):
    """All models that a catalog offers, in its own order."""

    api_version: ApiVersion
    models: Annotated[tuple[HubModel, ...], Strict(False)]

    @model_validator(mode="after")
    def _different_ids(self) -> Self:
        _raise_if_broken(validation_rules.no_duplicates((model.id for model in self.models), "models"))
        return self

    @cached_property
    def by_id(self) -> dict[str, HubModel]:
        return {model.id: model for model in self.models}


def _raise_if_broken(broken: validation_rules.Broken) -> None:
    """Raise the first rule that is broken."""
    for field, why in broken:
        raise rule_error(why, field=field)


def artifact(model: HubModel | None, option: DownloadOption) -> Artifact:
    """Return what `option` installs. Without `model`, the option's own knowledge of its model is used."""
    owner = model.id if model else option.model_id
    ref = f"{owner}@{option.id}" if owner else option.id
    if option.files is not None:
        files = tuple(ArtifactFile(f.path, f.url, f.size_bytes, f.sha256, f.git_sha1) for f in option.files)
        name = f"{owner}-{option.id}" if owner else option.id
        return Artifact(ref, owner, option.id, option.format, name, True, files)
    assert option.url is not None, "the schema demands url or files"
    name = option.filename or names.filename_from_url(option.url)
    file = ArtifactFile(name, option.url, option.size_bytes, option.sha256, option.git_sha1)
    return Artifact(ref, owner, option.id, option.format, name, False, (file,))


def parse_catalog(raw: bytes, *, where: str, error: type[FlowhubError]) -> HubCatalog:
    """Return the catalog that `raw` holds, or raise one `error` that names `where`, the entry, the field and why."""
    try:
        document = read_object(raw)
    except CatalogUnparsable as fault:
        raise error(f"{where}: {fault}") from fault
    try:
        return HubCatalog.model_validate(document)
    except ValidationError as fault:
        raise error(f"{where}: {first_fault_text(fault, document)}") from fault
