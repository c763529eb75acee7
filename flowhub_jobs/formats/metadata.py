"""The metadata of a model, in one form for all formats."""

from dataclasses import dataclass
from typing import Any

MAX_LAYERS = 4096  # the largest models today have under 200
MAX_COUNT = 10**15  # parameters, lengths, tokens: no larger figure is possible


class HeaderUnreadable(Exception):
    """The bytes are not such a header, or a malicious one; the message is the reason."""


class NeedMore(Exception):
    """The header continues after the given bytes: call again with the file's first `bytes_wanted` bytes."""

    def __init__(self, bytes_wanted: int) -> None:
        super().__init__(f"the header needs the first {bytes_wanted:,} bytes of the file")
        self.bytes_wanted = bytes_wanted


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """A model as its header describes it; None is unknown.

    `context_length` is the length it was trained for, in tokens. `kv_heads` is the sum over all layers, since layers
    may differ; 0 if no layer keeps keys and values (an encoder, a state-space model). `key_length` and `value_length`
    are numbers a head and token. `windowed_layers` attend to the last `sliding_window` tokens only; if it is None,
    all layers must be assumed to attend to everything. `quantization` is the file's type, such as Q4_K_M or BF16.
    `weights_bytes` is the size of the tensors by the header; `parts` is the number of files of a split model.
    """

    architecture: str | None = None
    parameters: int | None = None
    context_length: int | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    embedding_length: int | None = None
    key_length: int | None = None
    value_length: int | None = None
    sliding_window: int | None = None
    windowed_layers: int | None = None
    quantization: str | None = None
    weights_bytes: int | None = None
    parts: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


# One layer in so many attends to everything, the others to a window, for files that do not say it themselves: the
# values of llama.cpp's loaders (src/models/*.cpp, `set_swa_pattern`) for these architectures.
FULL_LAYER_EVERY = {
    "cohere2": 4,
    "exaone4": 4,
    "gemma-embedding": 6,
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "gpt_oss": 2,
    "gemma3_text": 6,
    "gemma3n_text": 5,
}


def windowed_of(layers: int | None, every: int | None) -> int | None:
    """Return how many of the layers have a window if one in `every` has none; None if either is unknown."""
    return None if layers is None or not every else layers - layers // every
