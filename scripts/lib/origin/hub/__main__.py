"""The Hub-shaped origin as a command: `python -m lib.origin.hub --root DIR --map map.json --rate 8M`, from scripts/.

It prints one JSON line with both addresses and serves until SIGTERM or until its stdin is closed (so keep a pipe
open), then prints one JSON line with its counts. `map.json` is a list of {"repo", "revision", "path", "file",
"sha256"?, "lfs"?}; `file` is relative to --root.
"""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from lib.origin.hub.repositories import HubFile, Key
from lib.origin.hub.server import HubOrigin

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def read_map(root: Path, rows: list[dict[str, Any]]) -> dict[Key, HubFile]:
    """Return the files of a map; one with a `sha256` is by default an LFS file."""
    return {
        (row["repo"], row["revision"], row["path"]): HubFile(
            root / row["file"], row.get("sha256"), row.get("lfs", "sha256" in row)
        )
        for row in rows
    }


def rate(text: str) -> float | None:
    """Return the bytes per second of "500K", "8M", "1G" (decimal) or a plain number; "off" is None."""
    if text == "off":
        return None
    unit = {"K": 1e3, "M": 1e6, "G": 1e9}.get(text[-1:].upper())
    return float(text[:-1]) * unit if unit else float(text)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve local files as the Hub would, on two ports of 127.0.0.1.")
    parser.add_argument("--root", type=Path, required=True, help="the folder that `file` in the map is relative to")
    parser.add_argument("--map", type=Path, required=True, help="a JSON list of repo, revision, path, file, sha256")
    parser.add_argument("--rate", type=rate, default=None, help="bytes a second over all connections: 500K, 8M, off")
    parser.add_argument("--expires", type=float, default=3600, help="seconds for which a CDN address is honoured")
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    files = read_map(given.root, json.loads(given.map.read_text()))
    # Blocked, and waited for: a handler could run just before a blocking call, which would then never end.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    with HubOrigin(files, rate_bps=given.rate, expires_s=given.expires) as hub:
        print(json.dumps({"hub": hub.endpoint, "hub_port": hub.front.port, "cdn_port": hub.cdn.port}), flush=True)
        threading.Thread(target=terminate_at_end_of_input, daemon=True).start()
        signal.sigwait(SIGNALS)
        print(json.dumps({"bytes_sent": hub.sent(), "leaked_tokens": len(hub.leaked_tokens)}), flush=True)


def terminate_at_end_of_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
