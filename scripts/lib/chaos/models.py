"""The models to download: files of all kinds, their catalog entries, and a check of the installed files."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.models import gguf_pattern, safetensors_pattern

from lib.chaos.network import Network
from lib.origin.content import Bytes, Content

MIB = 1 << 20


@dataclass(frozen=True)
class Item:
    """One file. `pin` is the digest that the catalog has, `sha256` or `gitSha1`; without one its size is unknown."""

    content: Content
    pin: str | None = "sha256"

    def entry(self) -> dict[str, Any]:
        if self.pin is None:
            return {}
        digest = self.content.sha256() if self.pin == "sha256" else self.content.git_sha1()
        return {"sizeBytes": self.content.size, self.pin: digest}


@dataclass(frozen=True)
class ServedModel:
    """One model with one option: a file, or a folder of them."""

    model: str
    items: Mapping[str, Item]
    folder: bool = False

    @property
    def name(self) -> str:
        """The name in the store."""
        return f"{self.model}-o" if self.folder else next(iter(self.items))

    @property
    def size(self) -> int:
        return sum(item.content.size for item in self.items.values())

    @property
    def paths(self) -> list[str]:
        """The path of its files at the origin."""
        return [f"/{self.model}/{path}" for path in self.items]

    def offer(self, network: Network) -> dict[str, Any]:
        """Serve it at the origin; return the catalog's entry."""
        files = [
            {"path": path, "url": network.serve(f"/{self.model}/{path}", item.content), **item.entry()}
            for path, item in self.items.items()
        ]
        option: dict[str, Any] = {"id": "o", "format": "mlx", "files": files}
        if not self.folder:
            [file] = files
            option = {"id": "o", "format": "gguf", **{key: file[key] for key in file if key != "path"}}
        return {"id": self.model, "name": self.model.title(), "downloads": [option]}

    def faults_in(self, store: Path) -> Iterator[str]:
        """Compare every byte in the store; yield the differences."""
        place = store / self.name
        paths = {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()} if self.folder else None
        if paths is not None and paths != set(self.items):
            yield f"{place} holds {sorted(paths)}, not {sorted(self.items)}"
            return
        for path, item in self.items.items():
            file = place / path if self.folder else place
            if not file.is_file():
                yield f"{file} is not there"
            elif (got := _sha256(file)) != item.content.sha256():
                yield f"{file} has the sha256 {got}, not {item.content.sha256()}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def all_kinds(more: int = 0) -> list[ServedModel]:
    """Return a large file, pinned and unpinned files, folders with and without git digests, tiny and empty files.

    `more` is the number of further pinned files, for many workers.
    """
    config, words = json.dumps({"model_type": "llama"}), json.dumps({"vocab": list(range(60_000))})
    pinned_folder = {
        "config.json": Item(Bytes(config.encode()), "gitSha1"),
        "tokenizer.json": Item(Bytes(words.encode()), "gitSha1"),
        "model.safetensors": Item(safetensors_pattern(8 * MIB, 4)),
        "deep/empty.txt": Item(Bytes(b"")),
    }
    loose_folder = {
        "config.json": Item(Bytes(config.encode()), None),
        "model.safetensors": Item(safetensors_pattern(3 * MIB, 5), None),
    }
    return [
        ServedModel("big", {"big.gguf": Item(gguf_pattern(60_000_000, 1))}),
        ServedModel("pinned", {"pinned.gguf": Item(gguf_pattern(6 * MIB + 7, 2))}),
        ServedModel("unpinned", {"unpinned.gguf": Item(gguf_pattern(5 * MIB + 1, 3), None)}),
        ServedModel("folder", pinned_folder, folder=True),
        ServedModel("loose", loose_folder, folder=True),
        ServedModel("tiny", {"tiny.gguf": Item(gguf_pattern(100, 6))}),
        ServedModel("empty", {"empty.txt": Item(Bytes(b""), None)}),
        *(ServedModel(f"more{n}", {f"more{n}.gguf": Item(gguf_pattern(3 * MIB + n, 10 + n))}) for n in range(more)),
    ]
