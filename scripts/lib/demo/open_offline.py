"""Opens a repository of the Hub offline with huggingface_hub, and prints as JSON what it found. Run as a process.

python open_offline.py OWNER/REPO       the cache is that of HF_HUB_CACHE
"""

import json
import sys

import huggingface_hub


def main(repo: str) -> None:
    folder = huggingface_hub.snapshot_download(repo)
    weights = huggingface_hub.hf_hub_download(repo, "model.safetensors")
    scanned = huggingface_hub.scan_cache_dir()
    [cached_repo] = [one for one in scanned.repos if one.repo_id == repo]
    result = {
        "version": huggingface_hub.__version__,
        "folder": folder,
        "weights": weights,
        "files": cached_repo.nb_files,
        "bytes": cached_repo.size_on_disk,
        "refs": sorted(ref for revision in cached_repo.revisions for ref in revision.refs),
        "faults": [str(fault) for fault in scanned.warnings],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
