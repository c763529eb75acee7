"""Recognizes the files that desktops and network disks create by themselves in every folder that they show."""

from pathlib import PurePath

_NAMES = {".ds_store", ".localized", ".directory", "thumbs.db", "ehthumbs.db", "desktop.ini"}  # Finder, KDE, Windows
_FOLDERS = {"@eadir", ".appledouble"}  # Synology, netatalk
_APPLE_DOUBLE = "._"  # what macOS keeps of a file on a disk without its attributes


def is_desktop_file(path: PurePath) -> bool:
    """Return whether a file is one of them, by its path in the folder that is looked at."""
    name = path.name.lower()
    return name in _NAMES or name.startswith(_APPLE_DOUBLE) or any(part.lower() in _FOLDERS for part in path.parts)
