"""Ollama: blobs named by digest, a config, and a manifest per model; a running server lists it at once.

    blobs/sha256-DIGEST                        weights, projector, config, parameters
    manifests/HOST/NAMESPACE/MODEL/TAG         JSON that names them; it appears last

Source: ollama/ollama, manifest/manifest.go, types/model/name.go and config.go, server/create.go. `ollama create` is not
used: it writes the weights again, with another digest. The names in a manifest are checked when it is listed, so that
one bad name would break the whole list.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flowhub_jobs.errors import PlacementRefused
from flowhub_jobs.formats.metadata import ModelMetadata
from flowhub_jobs.placement.app import App
from flowhub_jobs.placement.gguf_files import GgufFiles, gguf_files, header_of
from flowhub_jobs.placement.values import InstalledForPlacement, Plan, Planned, PlannedLink, PlannedText
from flowhub_jobs.store.app_folders import OLLAMA, UserFolders, model_folder
from flowhub_jobs.store.folder_scan import first_bytes

PROGRAM = "Ollama"
HUB, OWN = "hf.co", "registry.ollama.ai/library"
MANIFEST_MAX = 1 << 20
_MEDIA = "application/vnd.ollama.image."
_MANIFEST_MEDIA = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG_MEDIA = "application/vnd.docker.container.image.v1+json"
_PART_MAX = 80  # bytes of a namespace, a model's name or a tag
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
# What `ollama create` chooses by the architecture where a chat template alone does not do.
_RENDERERS = {
    "gemma4": "gemma4",
    "laguna": "laguna",
    "nemotron_h": "nemotron-3-nano",
    "nemotron_h_moe": "nemotron-3-nano",
    "nemotron_h_omni": "nemotron-3-nano",
}
_PARAMETERS = {"gemma4": {"stop": ["<turn|>"]}}


def default_root(environ: Mapping[str, str], home: Path) -> Path:
    return model_folder(OLLAMA, UserFolders(environ, home)) or home / ".ollama" / "models"


def plan(installed: InstalledForPlacement, root: Path) -> Plan:
    """Return the plan. Raises PlacementRefused for what is not GGUF, and for a GGUF model in several parts."""
    models = gguf_files(installed, PROGRAM)
    names = [_name(installed, model, several=len(models) > 1) for model in models]
    entries = [entry for model, name in zip(models, names, strict=True) for entry in _entries(model, name, root)]
    by_target = {entry.target: entry for entry in entries}  # models may share a projector, or a config
    in_order = sorted(by_target.values(), key=lambda entry: entry.target.is_relative_to(root / "manifests"))
    first = in_order[-len(models)].target
    return Plan(
        tuple(in_order),
        first if len(models) == 1 else first.parent,
        notes=(f"Run it with `ollama run {_typed_name(names[0])}`.",),
    )


def _entries(model: GgufFiles, name: str, root: Path) -> Iterator[Planned]:
    """Yield the blobs of one model, then its manifest."""
    if model.is_split:
        raise PlacementRefused(
            f"{PROGRAM} loads a GGUF model of one file, and {model.title} is in {len(model.parts)} parts.",
            hint="Join them with `llama-gguf-split --merge FIRST-PART JOINED.gguf`, or install a smaller quantization.",
        )
    header = header_of(model.first)
    layers = [_layer("model", model.first.sha256, model.first.size)]
    yield PlannedLink(model.first.source, _blob(root, model.first.sha256), by_digest=True)
    if model.projector:
        layers.append(_layer("projector", model.projector.sha256, model.projector.size))
        yield PlannedLink(model.projector.source, _blob(root, model.projector.sha256), by_digest=True)
    if header.architecture in _PARAMETERS:
        parameters = _text_blob(root, _PARAMETERS[header.architecture])
        layers.append(_layer("params", _digest(parameters.content), len(parameters.content)))
        yield parameters
    config = _text_blob(root, _config(model, header, [layer["digest"] for layer in layers]))
    yield config
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_MEDIA,
        "config": _descriptor(_CONFIG_MEDIA, _digest(config.content), len(config.content)),
        "layers": layers,
    }
    # Ollama takes every file next to a tag for a manifest: one with another kind of name breaks its list.
    yield PlannedText(root / "manifests" / name, _json(manifest), staged_in=root / "manifests")


def _config(model: GgufFiles, header: ModelMetadata, digests: list[Any]) -> dict[str, Any]:
    """Return the config that `ollama create` would write; size and quantization are for display alone."""
    family = header.architecture or ""
    renderer = _RENDERERS.get(family)
    return {
        "model_format": "gguf",
        "model_family": family,
        "model_families": [family, "clip"] if model.projector else [family],
        "model_type": _parameters_text(header.parameters),
        "file_type": model.quant or header.quantization or "unknown",
        **({"renderer": renderer, "parser": renderer} if renderer else {}),
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": digests},
    }


def _parameters_text(parameters: int | None) -> str:
    """Return a number of parameters as Ollama shows it: 8.2B, 494.03M. Source: format/format.go, HumanNumber."""
    if not parameters:
        return ""
    if parameters >= 10**9:
        return f"{parameters / 10**9:.1f}B"
    return f"{parameters / 10**6:.2f}M" if parameters >= 10**6 else f"{parameters // 1000}K"


def _name(installed: InstalledForPlacement, model: GgufFiles, *, several: bool) -> str:
    """Return HOST/NAMESPACE/MODEL/TAG: what a user types, `model:option`, or hf.co/OWNER/REPO:QUANT for the Hub's."""
    tag = model.title if several else model.quant or model.title
    if installed.model:
        return f"{OWN}/{_part(installed.model)}/{_part(tag if several else installed.option or tag)}"
    if installed.repository and _NAMESPACE.fullmatch(installed.owner):
        return f"{HUB}/{installed.owner}/{_part(installed.short_name)}/{_part(tag)}"
    return f"{OWN}/{_part(model.title)}/latest"


def _part(text: str) -> str:
    """Return a model's name or a tag as Ollama allows it; a longer one keeps its beginning and gets a digest."""
    part = re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip(".-") or "model"
    if re.fullmatch(r"(?i)cloud|local|.*-cloud", part):  # such a tag means a model that runs elsewhere
        part += "-gguf"
    return part if len(part) <= _PART_MAX else f"{part[:71]}-{_digest(text.encode())[:8]}"


def _typed_name(name: str) -> str:
    """Return a model's name as its user types it."""
    repository, _, tag = name.removeprefix(f"{OWN}/").rpartition("/")
    return repository if tag == "latest" else f"{repository}:{tag}"


def _layer(media: str, digest: str, size: int) -> dict[str, Any]:
    return _descriptor(f"{_MEDIA}{media}", digest, size)


def _descriptor(media: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media, "digest": f"sha256:{digest}", "size": size}


def _text_blob(root: Path, value: Mapping[str, Any]) -> PlannedText:
    content = _json(value)
    return PlannedText(_blob(root, _digest(content)), content)


def _blob(root: Path, digest: str) -> Path:
    return root / "blobs" / f"sha256-{digest}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


# What others need ----------------------------------------------------------------------------------------------------


def still_needed(root: Path, targets: frozenset[Path]) -> frozenset[Path]:
    """Return the blobs that manifests other than these targets name: of `ollama cp`, `create` or `pull`."""
    digests = {
        digest
        for folder in ("manifests", "manifests-v2")
        for manifest in root.joinpath(folder).glob("*/*/*/*")
        if manifest not in targets
        for digest in _digests_in(_read(manifest), root)
    }
    return targets & {_blob(root, digest) for digest in digests}


def _digests_in(manifest: Any, root: Path) -> Iterator[str]:
    """Yield the digests that a manifest names; one of several variants names further manifests, which are blobs."""
    if not isinstance(manifest, dict):
        return
    yield from _digests([manifest.get("config"), *_list(manifest.get("layers"))])
    for variant in _list(manifest.get("manifests")):
        yield from _digests_in({**variant, "manifests": None} if isinstance(variant, dict) else None, root)
        for digest in _digests([variant]):
            yield digest
            yield from _digests(_list(_layers(_read(_blob(root, digest)))))


def _layers(manifest: Any) -> Any:
    return [manifest.get("config"), *_list(manifest.get("layers"))] if isinstance(manifest, dict) else []


def _digests(layers: Iterable[Any]) -> Iterator[str]:
    for layer in layers:
        text = layer.get("digest") if isinstance(layer, dict) else None
        if isinstance(text, str) and (digest := _DIGEST.fullmatch(text)):
            yield digest[1].lower()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _read(path: Path) -> Any:
    """Return the JSON of a manifest, links followed; None for anything else."""
    try:
        return json.loads(first_bytes(path.resolve(), MANIFEST_MAX))
    except (OSError, ValueError, RecursionError, RuntimeError):
        return None


APP = App("ollama", default_root, plan, still_needed=still_needed)
