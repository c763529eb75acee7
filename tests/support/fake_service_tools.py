"""Fake `systemctl`, `loginctl` and `launchctl` on the PATH, which record their arguments and answer as a test says."""

import os
from pathlib import Path

import pytest

_SCRIPT = """\
#!/bin/sh
session={session}
printf '%s\\n' "${{0##*/}} $*" >> "$session/calls"
[ "$1" = --user ] && shift
answer="$session/${{0##*/}}.$1"
[ -f "$answer.err" ] && cat "$answer.err" >&2
[ -f "$answer.out" ] && cat "$answer.out"
[ -f "$answer.status" ] || exit 0
read -r status < "$answer.status"
tail -n +2 "$answer.status" > "$answer.remaining"
[ -s "$answer.remaining" ] && cat "$answer.remaining" > "$answer.status"
exit "$status"
"""


class FakeServiceTools:
    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, *programs: str) -> None:
        self._folder = folder / "session"
        tools = folder / "tools"
        self._folder.mkdir()
        tools.mkdir()
        for program in programs:
            script = tools / program
            script.write_text(_SCRIPT.format(session=self._folder))
            script.chmod(0o755)
        patch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")

    def set_answer(self, program: str, verb: str, *status: int, out: str = "", err: str = "") -> None:
        """Make `program verb` print this and exit with each status once, then always with the last."""
        answer = str(self._folder / f"{program}.{verb}")
        Path(f"{answer}.out").write_text(out)
        Path(f"{answer}.err").write_text(err)
        Path(f"{answer}.status").write_text("".join(f"{code}\n" for code in status or (0,)))

    @property
    def calls(self) -> list[str]:
        """Return every command line, in order."""
        try:
            return (self._folder / "calls").read_text().splitlines()
        except FileNotFoundError:
            return []

    def changing_calls(self) -> list[str]:
        """Return the command lines that change something."""
        return [
            line for line in self.calls if line.split()[1 + ("--user" in line)] not in ("show", "show-user", "print")
        ]

    def clear_calls(self) -> None:
        (self._folder / "calls").unlink(missing_ok=True)
