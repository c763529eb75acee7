"""The page of one model: its variants with verdicts for this machine, versions, licence, files and source."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.operations.search.model_details import DetailedVariant, ModelDetails, model_details
from flowhub_jobs.operations.search.variant_ranking import rank_key
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import RUNNABLE, Offload
from flowhub_jobs.web.call import Call, endpoint
from flowhub_jobs.web.pages.discover import CONTEXT_LEAST, CONTEXT_MOST, context_of, license_name
from flowhub_jobs.web.pages.fit_badges import BADGES, Badge, memory, why
from flowhub_jobs.web.pages.form_results import notice_of
from flowhub_jobs.web.pages.frame import render
from flowhub_jobs.web.pages.naming import FORMATS
from flowhub_jobs.web.pages.text import safe_link, visible

VERSIONS_SHOWN, FILES_SHOWN, NOTES_SHOWN = 20, 100, 20
NAME_MAX, NOTE_MAX, LABEL_MAX = 300, 2000, 80
_OFFLOADS = {None: "", Offload.FULL: "", Offload.PARTIAL: "partly on the GPU", Offload.NONE: "not on the GPU"}
_REVISION = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/")
_PLAIN_REF = re.compile(r"[A-Za-z0-9_./:@,%+=-]+")


@dataclass(frozen=True, slots=True)
class VariantRow:
    """`mark` is installed, queued or ""; `checked`: chosen when the page is loaded."""

    ref: str
    name: str
    about: str
    size: str
    memory: str
    badge: Badge
    why: str
    mark: str
    checked: bool


@dataclass(frozen=True, slots=True)
class FileRow:
    path: str
    size: str
    digest: str


@dataclass(frozen=True, slots=True)
class Fact:
    """`link` is an https address, or None; `mono`: the value is a name or a digest."""

    name: str
    value: str
    link: str | None = None
    mono: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    name: str
    day: str
    notes: str


@dataclass(frozen=True, slots=True)
class ModelView:
    name: str
    description: str
    facts: tuple[Fact, ...]
    variants: tuple[VariantRow, ...]
    command: str
    versions: tuple[Version, ...]
    files_of: str
    files: tuple[FileRow, ...]
    files_more: int
    notes: tuple[str, ...]
    contexts: tuple[tuple[int, str], ...]
    context: int

    @property
    def can_queue(self) -> bool:
        return any(not row.mark for row in self.variants)

    @property
    def tokens(self) -> str:
        return f"{1 << self.context:,} tokens"


def model_view(details: ModelDetails, context: int) -> ModelView:
    best = best_variant(details.variants)
    artifact = best.artifact if best else None
    files = artifact.files if artifact else ()
    return ModelView(
        name=_text(details.facts.get("name"), NAME_MAX) or "Without a name",
        description=_text(details.facts.get("description"), 4000),
        facts=_facts(details, artifact),
        variants=tuple(_variant_row(variant, variant is best) for variant in details.variants),
        command=command_for([best.ref]) if best else "",
        versions=_versions(details.facts.get("versions") or ()),
        files_of=_label(best) if best else "",
        files=tuple(
            FileRow(file.path, _size(file.size), file.sha256 or file.git_sha1 or "") for file in files[:FILES_SHOWN]
        ),
        files_more=max(0, len(files) - FILES_SHOWN),
        notes=tuple(details.notes[:NOTES_SHOWN]),
        contexts=tuple((power, f"{1 << power:,}") for power in range(CONTEXT_LEAST, CONTEXT_MOST + 1)),
        context=context,
    )


def best_variant(variants: Sequence[DetailedVariant]) -> DetailedVariant | None:
    """Return the variant that suits this machine best; None where there is none."""
    return min(variants, key=lambda one: rank_key(one.verdict, one.format, variants[0].format), default=None)


def command_for(refs: Sequence[str]) -> str:
    """Return the command that queues the same; references that a shell would change are quoted."""
    quoted = [ref if _PLAIN_REF.fullmatch(ref) else "'" + ref.replace("'", "'\\''") + "'" for ref in refs]
    return " ".join(["flowhub enqueue", *map(visible, quoted)])


def _variant_row(variant: DetailedVariant, is_best: bool) -> VariantRow:
    return VariantRow(
        ref=variant.ref,
        name=_label(variant),
        about=_about(variant),
        size=_size(variant.bytes),
        memory=memory(variant.verdict),
        badge=BADGES[variant.verdict.fit],
        why=why(variant.verdict),
        mark=variant.state or "",
        checked=is_best and variant.state is None and variant.verdict.fit in RUNNABLE,
    )


def _label(variant: DetailedVariant) -> str:
    return _text(variant.quantization or variant.option or variant.ref, LABEL_MAX)


def _about(variant: DetailedVariant) -> str:
    """Return the second line: the option, where its quantization is another word, the format, the files."""
    format_name = FORMATS[variant.format] if variant.format else "other"
    already_named = {(variant.quantization or "").lower(), format_name.lower()}
    option = _text(variant.option, LABEL_MAX) if variant.quantization else ""
    option_name = option if option.lower() not in already_named else ""
    files = f"{variant.files} files" if variant.files > 1 else ""
    return " · ".join(part for part in (option_name, format_name, files, _OFFLOADS[variant.offload]) if part)


def _size(count: int | None) -> str:
    return format_bytes(count) if count is not None else "unknown"


def _text(value: object, most: int) -> str:
    return visible(value, most) if isinstance(value, str) else ""


def _facts(details: ModelDetails, artifact: Artifact | None) -> tuple[Fact, ...]:
    facts, length = details.facts, details.facts.get("contextLength")
    source, revision = source_of(artifact) if artifact else (None, None)
    rows = [
        Fact("Publisher", _text(facts.get("publisher"), LABEL_MAX)),
        Fact("Parameters", _text(facts.get("parameters"), LABEL_MAX)),
        Fact("Trained context", f"{length:,} tokens" if isinstance(length, int) else ""),
        Fact("Licence", license_name(_text(facts.get("license"), LABEL_MAX))),
        Fact("Access", _access(facts)),
        Fact("Tags", ", ".join(_text(tag, LABEL_MAX) for tag in list(facts.get("tags") or ())[:12])),
        Fact("Page", _host(facts.get("homepage")), safe_link(facts.get("homepage"))),
        source or Fact("Source", ""),
        Fact("Revision", (revision or _text(facts.get("commit"), LABEL_MAX))[:12], mono=True),
        Fact("Catalog", details.catalog or "" if details.catalog != "base" else ""),
    ]
    return tuple(fact for fact in rows if fact.value)


def _access(facts: Mapping[str, Any]) -> str:
    if facts.get("gated"):
        return "Gated: accept its terms on its page"
    return "Private" if facts.get("private") else ""


def _host(url: object) -> str:
    link = safe_link(url if isinstance(url, str) else None)
    return urlsplit(link).hostname or "" if link else ""


def source_of(artifact: Artifact) -> tuple[Fact | None, str | None]:
    """Return where the bytes come from, and the revision that they are bound to."""
    url = artifact.files[0].url
    host = urlsplit(url).hostname or ""
    if not host:
        return None, None
    match = _REVISION.search(urlsplit(url).path)
    if artifact.hub:
        page = safe_link(f"https://huggingface.co/{artifact.hub.repo}")
        return Fact("Source", f"huggingface.co, {artifact.hub.repo}", page), artifact.hub.commit
    if match:
        page = safe_link(f"https://{host}/{match[1]}")
        return Fact("Source", f"{host}, {unquote(match[1])}", page), unquote(match[2])
    return Fact("Source", host), None


def _versions(versions: Sequence[Mapping[str, Any]]) -> tuple[Version, ...]:
    """Return the versions, the newest first."""
    newest = sorted(versions, key=lambda version: version.get("releasedAt") or "", reverse=True)
    return tuple(
        Version(
            _text(version.get("version"), LABEL_MAX) or "unnamed",
            _text(version.get("releasedAt"), 10),
            _text(version.get("notes"), NOTE_MAX),
        )
        for version in newest[:VERSIONS_SHOWN]
    )


def show_model(call: Call) -> Response:
    session, context = call.session, context_of(call)
    view = model_view(model_details(session, call.path("model"), 1 << context), context)
    return render(
        call,
        "model.html",
        tab="/discover",
        heading=view.name,
        view=view,
        path=call.request.url.path,
        notice=notice_of(call),
    )


ROUTES: list[BaseRoute] = [Route("/models/{model:path}", endpoint(show_model), methods=["GET"])]
