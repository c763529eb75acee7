"""Fetches one option with flowhub's Python API: `program_flowhub.py OPTION.json`, into the current folder."""

import json
import sys
from pathlib import Path

from flowhub_jobs import DownloadOption, download

download(DownloadOption.model_validate(json.loads(Path(sys.argv[1]).read_text())), ".")
