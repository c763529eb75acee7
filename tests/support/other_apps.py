"""Model folders as other programs lay them out, below a user's home folder."""

import hashlib
import json
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def write_file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def lm_studio(user_home: Path, path: str, content: bytes) -> Path:
    """Put a file where LM Studio does: `publisher/repo/file`."""
    return write_file(user_home / ".lmstudio" / "models" / path, content)


def llama_cpp(user_home: Path, name: str, content: bytes) -> Path:
    write_file(user_home / ".cache" / "llama.cpp" / f"{name}.json", b'{"etag": "x"}')
    return write_file(user_home / ".cache" / "llama.cpp" / name, content)


def hugging_face(
    user_home: Path, repo: str, files: dict[str, bytes], *, lfs: tuple[str, ...] = (".gguf", ".safetensors")
) -> Path:
    """Put a repository into the cache: a link for each file to a blob named by its digest; return its folder."""
    folder = user_home / ".cache" / "huggingface" / "hub" / ("models--" + repo.replace("/", "--"))
    write_file(folder / "refs" / "main", COMMIT.encode())
    for path, content in files.items():
        digest = sha256(content) if path.endswith(lfs) else git_sha1(content)
        blob = write_file(folder / "blobs" / digest, content)
        link = folder / "snapshots" / COMMIT / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(*[".."] * (2 + path.count("/"))) / "blobs" / blob.name)
    return folder


def ollama(user_home: Path, name: str, tag: str, content: bytes, *, projector: bytes | None = None) -> Path:
    """Put a model where Ollama does, with a manifest; return its blob."""
    root = user_home / ".ollama" / "models"
    layers = [_layer(root, "model", content), _layer(root, "template", b"{{ .Prompt }}")]
    layers += [_layer(root, "projector", projector)] if projector else []
    manifest = {"schemaVersion": 2, "config": {"digest": "sha256:" + "0" * 64}, "layers": layers}
    write_file(root / "manifests" / "registry.ollama.ai" / "library" / name / tag, json.dumps(manifest).encode())
    return root / "blobs" / f"sha256-{sha256(content)}"


def _layer(root: Path, kind: str, content: bytes) -> dict[str, object]:
    write_file(root / "blobs" / f"sha256-{sha256(content)}", content)
    media = f"application/vnd.ollama.image.{kind}"
    return {"mediaType": media, "digest": f"sha256:{sha256(content)}", "size": len(content)}


def hugging_face_with_shared_blobs(user_home: Path, repo: str, files: dict[str, bytes]) -> Path:
    """Put a repository into the cache as huggingface_hub 2.x does with Xet: its blobs are links into a shared store."""
    folder = hugging_face(user_home, repo, files)
    store = folder.parent / "blobs"
    write_file(store / ".huggingface-shared-blobs", b"1\n")
    for blob in list((folder / "blobs").iterdir()):
        xet = sha256(b"xet " + blob.read_bytes())  # 64 digits too, but not a digest of the file
        payload = write_file(store / xet[:2] / xet, blob.read_bytes())
        payload.chmod(0o444)
        blob.unlink()
        blob.symlink_to(Path("..", "..", "blobs", xet[:2], xet))
    return folder


def hugging_face_without_links(user_home: Path, repo: str, files: dict[str, bytes]) -> Path:
    """Put a repository into the cache as with HF_HUB_DISABLE_SYMLINKS: files instead of links."""
    folder = user_home / ".cache" / "huggingface" / "hub" / ("models--" + repo.replace("/", "--"))
    write_file(folder / "refs" / "main", COMMIT.encode())
    for path, content in files.items():
        write_file(folder / "snapshots" / COMMIT / path, content)
    return folder


def modelscope(user_home: Path, repo: str, files: dict[str, bytes], *, revision: str | None = "master") -> Path:
    """Put a repository into ModelScope's cache; without a revision as versions before 1.38 did."""
    owner, name = repo.split("/")
    cache = user_home / ".cache" / "modelscope"
    old = cache / "hub" / "models" / owner / name.replace(".", "___")
    folder = cache / "models" / f"{owner}--{name}" / "snapshots" / revision if revision else old
    for path, content in files.items():
        write_file(folder / path, content)
    write_file(folder / ".msc", b"x")
    return folder
