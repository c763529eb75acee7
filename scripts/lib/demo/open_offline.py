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
    [seen] = [one for one in scanned.repos if one.repo_id == repo]
    found = {
        "version": huggingface_hub.__version__,
        "folder": folder,
        "weights": weights,
        "files": seen.nb_files,
        "bytes": seen.size_on_disk,
        "refs": sorted(ref for revision in seen.revisions for ref in revision.refs),
        "faults": [str(fault) for fault in scanned.warnings],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
