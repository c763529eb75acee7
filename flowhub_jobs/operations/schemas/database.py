"""The result of `db backup` and `db check` as JSON: `flowhub/database/1`."""

from typing import TYPE_CHECKING, Any

from flowhub_jobs.operations.schemas.plain_json import fields_json

if TYPE_CHECKING:
    from flowhub_jobs.operations.database_backup_and_check import DatabaseFile


def database_json(file: "DatabaseFile") -> dict[str, Any]:
    return {"schema": "flowhub/database/1", **fields_json(file, ("path", "bytes", "jobs", "installed"))} | {
        "migration": file.schema
    }
