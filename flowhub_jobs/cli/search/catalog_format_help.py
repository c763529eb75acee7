"""The text of `flowhub help catalog`: the format of a catalog, with an example, as in docs/catalog.md."""

EXAMPLE = """\
{"apiVersion": "v1",
 "models": [
  {"id": "qwen2-5-0-5b-instruct", "name": "Qwen2.5 0.5B Instruct",
   "publisher": "Qwen", "family": "qwen2.5", "license": "Apache-2.0",
   "description": "A small model for chat.", "tags": ["chat", "multilingual"],
   "parameters": "0.5B", "contextLength": 32768,
   "homepage": "https://huggingface.co/Qwen/Qwen2.5-0.5B-Instruct",
   "hardware": {"minRamGb": 1, "recommendedRamGb": 2, "diskGb": 0.5,
                "platforms": ["linux", "macos", "windows"]},
   "versions": [{"version": "2.5", "releasedAt": "2024-09-19",
                 "notes": "First release."}],
   "downloads": [
  {"id": "q4_k_m", "format": "gguf", "quantization": "Q4_K_M",
   "offload": "full", "filename": "qwen2.5-0.5b-instruct-q4_k_m.gguf",
   "url": "https://models.example/qwen2.5-0.5b-instruct-q4_k_m.gguf",
   "sha256": "74a4da8c9fdbcd15bd1f6d01d621410d31c6fc00986f5eb687824e7b93d7a9db",
   "sizeBytes": 491400032},
  {"id": "mlx-4bit", "format": "mlx", "quantization": "4bit", "files": [
  {"path": "config.json", "url": "https://models.example/mlx/config.json",
   "gitSha1": "0dbb161213629a23f0fc00ef286e6b1e366d180f", "sizeBytes": 937},
  {"path": "model.safetensors",
   "url": "https://models.example/mlx/model.safetensors",
   "sha256": "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90",
   "sizeBytes": 278064920}]}]}]}
"""

_BEFORE = """\
A catalog is a JSON document in UTF-8 (YAML of the same shape is read as well).
FLOWHUB_CATALOG names it: a file, or an http(s) address. `flowhub catalog
import` adds one to the shipped catalog, `flowhub catalog validate` checks one.
"""

FIELDS = """\
Required fields have a *. Leave out what is unknown: 0 and "" are faults.

  the document
    apiVersion*      "v1"
    models*          a list of models, each with its own id
  a model
    id*              a-z, 0-9, dot, underscore, hyphen; what you type
    name*            what people read
    downloads*       its options, the default first (1 to 1,000)
    publisher, family, description, license, homepage
    tags             a list of words
    parameters       such as "0.5B"
    contextLength    tokens
    hardware         minRamGb and recommendedRamGb in GiB, diskGb in GB,
                     platforms: linux, macos, windows
    versions         a list: version, releasedAt (2024-09-19), notes
  an option
    id*              as of a model, such as q4_k_m
    format*          gguf, mlx or safetensors
    url*             the address of its one file, or in its place
    files*           a list of files (1 to 10,000), installed as one folder
    filename         the name to install (default: the end of the address)
    quantization     such as "Q4_K_M"
    offload          full, partial or none: what a GPU can take
    sizeBytes, sha256, gitSha1
  a file
    path*            its place inside the folder
    url*             its address
    sizeBytes        bytes; refused if the source has another size
    sha256           64 hex digits, also as sha256:HEX; verifies every byte
    gitSha1          40 hex digits: what the Hub has for a small file that has
                     no sha256

Addresses are https; http only with a sha256, or on this machine. Fields that
are not listed are ignored: `flowhub catalog validate` names them, because a
misspelt sha256 verifies nothing.
"""

CATALOG_HELP = f"{_BEFORE}\n{FIELDS}\nAn example:\n\n{EXAMPLE}".rstrip()
