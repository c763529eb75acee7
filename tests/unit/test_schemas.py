"""Public JSON is made in one package."""

import re
from pathlib import Path

import flowhub_jobs

PACKAGE = Path(flowhub_jobs.__file__).parent
SCHEMA = re.compile(r'"schema": "flowhub/([a-z-]+)/[0-9]+"')
# A notification and the manifest of an export are made below the operations.
BELOW_OPERATIONS = {("notice", "worker/notifications.py"), ("export", "store/export_manifest.py")}


def test_no_module_outside_of_the_schemas_makes_a_public_object():
    schemas = set()
    for path in PACKAGE.rglob("*.py"):
        if not path.is_relative_to(PACKAGE / "operations" / "schemas"):
            schemas |= {(name, str(path.relative_to(PACKAGE))) for name in SCHEMA.findall(path.read_text())}
    assert schemas <= BELOW_OPERATIONS
