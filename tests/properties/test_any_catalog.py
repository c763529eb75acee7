"""Properties of catalog imports: any input ends in models that flowhub's schema accepts, or in CatalogMalformed."""

import json

from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.catalogs.import_record import TITLES
from flowhub_jobs.catalogs.importers.detect import read_catalog
from flowhub_jobs.catalogs.importers.yaml_events import NotYaml, read_yaml
from flowhub_jobs.catalogs.schema import parse_catalog
from flowhub_jobs.errors import CatalogMalformed

FIELDS = [
    "name", "filename", "url", "uri", "files", "all", "highlighted", "economical", "sha256", "sha256sum", "md5sum",
    "sha256checksum", "sizeBytes", "filesize", "quantization", "quant", "overrides", "parameters", "model", "urls",
    "tags", "license", "description", "author", "resources", "canonicalUrl", "numParameters", "ramrequired", "format",
    "datePublished", "id", "downloads", "path", "removedIn", "embeddingModel", "versions", "hardware", "minRamGb",
]  # fmt: skip
NAMES = ["m.gguf", "a/m-Q4_K_M.gguf", "../m.gguf", "mmproj-F16.gguf", "x.bin", "con", "\u202e", "\ud800"]
PARTS = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]
URLS = ["https://h.example/m.gguf", "http://h.example/m.gguf", "hf://o/r/m.gguf", "huggingface://o", "oci://x"]
FIGURES = ["", "ab" * 32, "ab" * 16, "7B", "8 billion", "2024-01-01T00:00:00Z", "gguf", "5", "1e400", "nan"]
TEXTS = [*NAMES, *PARTS, *URLS, *FIGURES, "<li>License: x"]
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.sampled_from(TEXTS), st.text()
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=8)),
    max_leaves=30,
)
entries = st.lists(st.one_of(values, st.dictionaries(st.sampled_from(FIELDS), values, max_size=20)), max_size=5)


@given(entries, st.sampled_from(sorted(TITLES)))
def test_any_entries_become_a_flowhub_catalog_or_one_error(raw_entries, shape):
    document = {"apiVersion": "v1", "models": raw_entries} if shape == "flowhub" else raw_entries
    try:
        result = read_catalog(json.dumps(document).encode(), where="c", error=CatalogMalformed, shape=shape)
    except CatalogMalformed:
        return
    assert result.entries == len(raw_entries)
    body = json.dumps({"apiVersion": "v1", "models": result.models}, ensure_ascii=False).encode()
    assert len(parse_catalog(body, where="converted", error=CatalogMalformed).models) == len(result.models)


@given(
    st.one_of(st.binary(max_size=200), st.text(alphabet="&*<-[]{}:,!|>\"'#%@ \nabc01~", max_size=200).map(str.encode))
)
def test_any_bytes_are_read_as_a_value_or_refused_as_no_yaml(raw):
    try:
        value = read_yaml(raw)
    except NotYaml:
        return
    assert value is None or isinstance(value, str | list | dict)
