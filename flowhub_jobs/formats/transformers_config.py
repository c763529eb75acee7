"""Reads the config.json next to safetensors and MLX weights, as transformers writes it."""

from typing import Any

from flowhub_jobs.formats.metadata import FULL_LAYER_EVERY, MAX_COUNT, MAX_LAYERS, ModelMetadata, windowed_of
from flowhub_jobs.formats.strict_json import read_object

MAX_BYTES = 4 * 2**20
# A multimodal model has the figures of its language model one level deeper.
_NESTED = ("text_config", "llm_config", "language_config")


def read_config(raw: bytes) -> ModelMetadata:
    """Return the metadata in a config.json, without figures of a wrong type. Raises HeaderUnreadable."""
    config = read_object(raw)
    nested = next((config[name] for name in _NESTED if isinstance(config.get(name), dict)), config)
    kind = nested.get("model_type", config.get("model_type"))
    kind = kind if isinstance(kind, str) and 0 < len(kind) < 100 else None
    layers = _count_or_none(nested.get("num_hidden_layers"), MAX_LAYERS)
    heads, width = _count_or_none(nested.get("num_attention_heads")), _count_or_none(nested.get("hidden_size"))
    length = _count_or_none(nested.get("head_dim")) or (width // heads if width and heads else None)
    latent = (
        _count_or_none(nested.get("qk_nope_head_dim")),
        _count_or_none(nested.get("qk_rope_head_dim")),
    )  # DeepSeek's attention
    keys = latent[0] + latent[1] if latent[0] and latent[1] else length
    return ModelMetadata(
        architecture=kind,
        context_length=_count_or_none(nested.get("max_position_embeddings")) or None,
        layers=layers,
        heads=heads,
        kv_heads=_kv_heads(nested, kind, layers, heads),
        embedding_length=width,
        key_length=keys,
        value_length=_count_or_none(nested.get("v_head_dim")) or length,
        sliding_window=_window(nested),
        windowed_layers=_windowed(nested, kind, layers),
        quantization=_quantization(config, nested),
    )


def _kv_heads(inner: dict[str, Any], kind: str | None, layers: int | None, heads: int | None) -> int | None:
    """Return the key and value heads of all layers that have any."""
    if kind and "bert" in kind:
        return 0  # an encoder has no cache
    each = _count_or_none(inner.get("num_key_value_heads", heads))
    types = _layer_types(inner)
    keeping = layers if types is None else sum(1 for one in types if "attention" in one and "linear" not in one)
    return None if each is None or keeping is None else each * keeping


def _window(inner: dict[str, Any]) -> int | None:
    # Qwen2 has a window and a flag that it is not used.
    return None if inner.get("use_sliding_window") is False else _count_or_none(inner.get("sliding_window")) or None


def _windowed(inner: dict[str, Any], kind: str | None, layers: int | None) -> int | None:
    if _window(inner) is None:
        return None
    if (types := _layer_types(inner)) is not None:
        return sum(1 for one in types if one == "sliding_attention")
    every = _count_or_none(inner.get("sliding_window_pattern")) or FULL_LAYER_EVERY.get(kind or "")
    return windowed_of(layers, every)


def _layer_types(inner: dict[str, Any]) -> list[str] | None:
    types = inner.get("layer_types")
    good = isinstance(types, list) and 0 < len(types) <= MAX_LAYERS and all(isinstance(one, str) for one in types)
    return types if good else None


def _quantization(config: dict[str, Any], nested: dict[str, Any]) -> str | None:
    """Return "4bit" or the like if the weights are packed, else the type of their numbers."""
    packed = config.get("quantization") or config.get("quantization_config")
    bits = _count_or_none(packed.get("bits"), 64) if isinstance(packed, dict) else None
    if bits:
        return f"{bits}bit"
    dtype = next((one for one in (config.get("torch_dtype"), config.get("dtype"), nested.get("dtype")) if one), None)
    short = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
    return short.get(dtype) if isinstance(dtype, str) else None


def _count_or_none(value: Any, most: int = MAX_COUNT) -> int | None:
    return value if type(value) is int and 0 <= value <= most else None
