"""The valid rows of the table of facts (scripts/lib/catalog/facts.csv)."""

import re
import sys
from collections import defaultdict
from collections.abc import Callable

Row = dict[str, str]
COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def say(text: str) -> None:
    print(text, file=sys.stderr)


def by(*columns: str) -> Callable[[Row], tuple[str, ...]]:
    return lambda row: tuple(row[column] for column in columns)


def without_contradictions(rows: list[Row]) -> list[Row]:
    """Return the valid rows; print each invalid one with the reason to stderr."""
    same_file, same_digest = defaultdict(set), defaultdict(set)
    for row in rows:
        same_file[by("repo", "revision", "path")(row)].add((row["size"], row["sha256"]))
        same_digest[row["sha256"]].add(row["size"])
    valid_rows = []
    for row in rows:
        problem = row_problem(row)
        if len(same_file[by("repo", "revision", "path")(row)]) > 1:
            problem = "two rows say different things of the same file"
        elif row["sha256"] and len(same_digest[row["sha256"]]) > 1:
            problem = "two files of one digest have different sizes"
        if problem:
            say(f"left out: {row['model']} {row['repo']} {row['path']}: {problem}")
        else:
            valid_rows.append(row)
    return valid_rows


def row_problem(row: Row) -> str | None:
    if row["size"] and not re.fullmatch(r"[1-9][0-9]*", row["size"]):
        return f"the size is {row['size']!r}"
    if row["sha256"] and not _DIGEST.fullmatch(row["sha256"]):
        return f"the digest is {row['sha256']!r}"
    if row["format"] == "gguf" and row["quantization"].lower() not in row["path"].lower():
        return f"the file name does not say {row['quantization']}"
    return None


def without_copies(rows: list[Row]) -> list[Row]:
    """Return the rows without repeated uploads of the same bytes of a model; keep those pinned to a commit."""
    seen, valid_rows = set(), []
    for row in sorted(rows, key=lambda row: not COMMIT.fullmatch(row["revision"])):
        copy = (row["model"], row["sha256"])
        if row["format"] == "gguf" and row["sha256"] and copy in seen:
            say(f"left out: {row['model']} {row['repo']} {row['path']}: the same bytes are there already")
            continue
        seen.add(copy)
        valid_rows.append(row)
    return valid_rows
