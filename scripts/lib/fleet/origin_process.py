"""The origin in another process, so that its threads do not slow down the measuring process."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.models import gguf_pattern, one_file_model
from support.origin import Origin

from lib.processes import stopped_after


class OriginProcess:
    """`models` are the catalog's entries of its files."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.models: list[dict[str, Any]] = json.loads(self._line())

    def sent(self) -> int:
        """Return the number of sent body bytes."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return int(self._line())

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextlib.contextmanager
def origin_process(files: int, size: int, rate_bps: float | None) -> Iterator[OriginProcess]:
    """Serve files of `size` bytes; all connections share `rate_bps`."""
    command = [sys.executable, "-m", "lib.fleet.origin_process", str(files), str(size), str(rate_bps or 0)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process,
        stopped_after(process),
    ):
        yield OriginProcess(process)


def serve(files: int, size: int, rate_bps: float) -> None:
    """Print the models as one line, then the bytes sent, for each line of stdin."""
    with Origin() as origin:
        origin.limit(total_bps=rate_bps or None)
        contents = {f"m{number}": gguf_pattern(size, number) for number in range(files)}
        models = [
            one_file_model(name, origin.serve(f"{name}.gguf", content), content) for name, content in contents.items()
        ]
        print(json.dumps(models), flush=True)
        for _ in sys.stdin:
            print(origin.sent(), flush=True)


def sha256_by_name(models: list[dict[str, Any]]) -> dict[str, str]:
    """Return the digests of the files by their installed names."""
    options = [model["downloads"][0] for model in models]
    return {Path(option["url"]).name: option["sha256"] for option in options}


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
