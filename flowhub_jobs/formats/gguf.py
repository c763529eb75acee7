"""Reads the metadata of a GGUF file from its first bytes.

The format: ggml's docs/gguf.md. Whatever the bytes are, reading ends: with a ModelMetadata, NeedMore, or
HeaderUnreadable. The values of other keys are skipped and never kept in memory.
"""

from typing import Any

from flowhub_jobs.formats.gguf_cursor import MAX_KEY_LENGTH, GgufCursor
from flowhub_jobs.formats.gguf_version import read_preamble
from flowhub_jobs.formats.metadata import FULL_LAYER_EVERY, MAX_COUNT, MAX_LAYERS, ModelMetadata, windowed_of

MAX_TEXT = 4096  # of the texts that are wanted: an architecture's name

# `general.file_type`, as llama.h numbers it (enum llama_ftype).
_NUMBERS = (0, 1, 2, 3, *range(7, 33), 36, 37, 38, 39)
_NAMES = """
    F32 F16 Q4_0 Q4_1
    Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ2_XXS IQ2_XS Q2_K_S IQ3_XS IQ3_XXS
    IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16
    TQ1_0 TQ2_0 MXFP4 NVFP4
"""
_FILE_TYPES = dict(zip(_NUMBERS, _NAMES.split(), strict=True))
_GENERAL = {"general.architecture", "general.file_type", "general.parameter_count", "split.count"}
_OWN = {
    "context_length",
    "block_count",
    "embedding_length",
    "full_attention_interval",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.causal",
}
_VOCABULARY = "tokenizer.ggml.tokens"


def read_gguf(data: bytes) -> ModelMetadata:
    """Return the metadata in the first bytes of a GGUF file.

    Raises NeedMore if they end too early, HeaderUnreadable if they are no such header. Writers put the model's
    own keys before its vocabulary, which is megabytes: reading ends there if by then the context can be computed.
    """
    cursor = GgufCursor(data)
    preamble = read_preamble(cursor)
    values: dict[str, Any] = {}
    for _ in range(preamble.keys):
        key = cursor.text(MAX_KEY_LENGTH, "a key")
        if key == _VOCABULARY and _is_complete(values):
            break
        _value(cursor, key, values)
    return _metadata_of(values)


def _value(cursor: GgufCursor, key: str, values: dict[str, Any]) -> None:
    """Read a value if it is wanted, else skip it."""
    kind = cursor.number("I")
    if key in _GENERAL or key.partition(".")[2] in _OWN:
        values[key] = cursor.value(kind, MAX_TEXT, f"the value of {key}", MAX_LAYERS)
    else:
        cursor.skip(kind)


def _is_complete(values: dict[str, Any]) -> bool:
    keys = _architecture_keys(values)
    return "block_count" in keys and "attention.head_count" in keys and "context_length" in keys


def _architecture_keys(values: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of the file's own architecture, without its name."""
    start = f"{values.get('general.architecture')}."
    return {key.removeprefix(start): value for key, value in values.items() if key.startswith(start)}


def _metadata_of(values: dict[str, Any]) -> ModelMetadata:
    keys = _architecture_keys(values)
    architecture = values.get("general.architecture")
    layers, heads = (
        _count_or_none(keys.get("block_count"), MAX_LAYERS),
        _count_or_none(_largest(keys.get("attention.head_count"))),
    )
    width = _count_or_none(keys.get("embedding_length"))
    length = width // heads if width and heads else None
    key_length = _count_or_none(keys.get("attention.key_length"))
    value_length = _count_or_none(keys.get("attention.value_length"))
    return ModelMetadata(
        architecture=architecture if isinstance(architecture, str) and architecture else None,
        parameters=_count_or_none(values.get("general.parameter_count")) or None,
        context_length=_count_or_none(keys.get("context_length")) or None,
        layers=layers,
        heads=heads,
        kv_heads=_kv_heads(keys, layers, heads),
        embedding_length=width,
        key_length=length if key_length is None else key_length,
        value_length=length if value_length is None else value_length,
        sliding_window=_count_or_none(keys.get("attention.sliding_window")) or None,
        windowed_layers=_windowed(keys, layers, architecture),
        quantization=_FILE_TYPES.get(values.get("general.file_type", -1)),
        parts=_count_or_none(values.get("split.count"), 10_000) or None,
    )


def _kv_heads(keys: dict[str, Any], layers: int | None, heads: int | None) -> int | None:
    """Return the key and value heads of all layers together. If a file names none, each head has its own."""
    if keys.get("attention.causal") is False:
        return 0  # an encoder has no cache
    counts = keys.get("attention.head_count_kv", heads)
    if isinstance(counts, list):
        each = [_count_or_none(count) for count in counts[:layers]]
        return None if None in each or layers is None else sum(count for count in each if count)
    count, every = _count_or_none(counts), _count_or_none(keys.get("full_attention_interval")) or 1
    return None if count is None or layers is None else count * (layers // every)


def _windowed(keys: dict[str, Any], layers: int | None, architecture: Any) -> int | None:
    """Return how many layers have a sliding window: by a list of layers, a period, or the architecture."""
    pattern = keys.get("attention.sliding_window_pattern")
    if isinstance(pattern, list):
        return sum(1 for windowed in pattern[:layers] if windowed)
    every = _count_or_none(pattern) if pattern is not None else FULL_LAYER_EVERY.get(str(architecture))
    return windowed_of(layers, every)


def _largest(value: Any) -> Any:
    """Return a number that may differ by layer: the largest."""
    return max((one for one in value if type(one) is int), default=None) if isinstance(value, list) else value


def _count_or_none(value: Any, most: int = MAX_COUNT) -> int | None:
    """Return a count, or None if it is missing or impossible."""
    return value if type(value) is int and 0 <= value <= most else None
