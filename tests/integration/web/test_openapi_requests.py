"""The API answers whatever its OpenAPI document allows, and refuses all else: schemathesis asks a real server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import run_due_jobs

pytestmark = pytest.mark.timeout(300)
NAMES = """
[parameters]
"path.model" = "b"
"path.name" = "b.gguf"

[[operations]]
include-method = "DELETE"
parameters = { "path.name" = "a.gguf" }
"""
EXAMPLES = 6  # of each operation, in the random part
SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
# The document gives sizes, times and references as texts, of which most mean nothing: these are refused with 422.
LEFT_OUT = "positive_data_acceptance"


def test_no_request_is_answered_otherwise_than_the_document_says(web, app, tmp_path):
    web.api_client.post("/api/v1/jobs", json={"refs": ["a", "b"]})
    run_due_jobs(app)
    (tmp_path / "schemathesis.toml").write_text(NAMES)
    command = [
        *(SCHEMATHESIS, "run", f"{web.serving.base}/api/openapi.json"),
        *("--header", f"Authorization: Bearer {web.token}"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES)),
        *("--generation-deterministic", "--no-shrink", "--exclude-checks", LEFT_OUT),
        *("--exclude-path", "/api/v1/events"),  # which does not end
        "--no-color",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    paths = web.api_client.get("/api/openapi.json").json()["paths"].values()
    assert int(re.search(r"Tested: (\d+)", done.stdout)[1]) == sum(map(len, paths)) - 2  # the events, the document
    assert web.api_client.get("/healthz").status_code == 200
