"""Any folder: `dir:PATH` gets each model under the name that it has in the store."""

from pathlib import Path

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.placement.app import DIRECTORY, App
from flowhub_jobs.placement.values import InstalledForPlacement, Plan, PlannedLink


def directory_app(name: str) -> App:
    """Return the folder of `dir:PATH`. Raises UsageInvalid unless PATH is absolute, or begins with `~`."""
    path = Path(name.removeprefix(DIRECTORY))
    try:
        path = path.expanduser()
    except RuntimeError:
        path = Path()
    if not path.is_absolute() or "\0" in name:
        raise UsageInvalid(f"{name!r} names no folder.", hint="Write the whole path, as in dir:/models/shared.")
    return App(name=f"{DIRECTORY}{path}", default_root=lambda environ, home: path, plan=plan_directory)


def plan_directory(installed: InstalledForPlacement, root: Path) -> Plan:
    """Return the plan: a file under its name in the store, a folder with all of its files."""
    top = root / installed.name
    links = tuple(
        PlannedLink(file.source, top / file.path if installed.folder else top)
        for file in sorted(installed.files, key=lambda file: file.path)
    )
    return Plan(links, top)
