"""GGUF files written by the format's own library, with a vocabulary after the model's own keys."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

WORDS = [f"word{number}" for number in range(20_000)]


class GgufFile:
    """A file of architecture `kind`. The keys that `with_values` and `writer` add come before the vocabulary."""

    def __init__(
        self,
        path: Path,
        kind: str = "llama",
        *,
        endian: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE,
        words: Sequence[str] = WORDS,
    ) -> None:
        self.path, self.words = path, words
        self.writer = gguf.GGUFWriter(path, kind, endianess=endian)

    def with_values(self, **more: Any) -> "GgufFile":
        values = {"context_length": 131_072, "block_count": 32, "embedding_length": 4096, "head_count": 32}
        for name, value in (values | more).items():
            if value is not None:
                getattr(self.writer, f"add_{name}")(value)
        return self

    def write(self) -> Path:
        self.writer.add_tokenizer_model("gpt2")
        self.writer.add_token_list(self.words)
        self.writer.add_token_types([1] * len(self.words))
        self.writer.add_tensor("token_embd.weight", np.zeros((4, 8), dtype=np.float32))
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
        return self.path


def llama_8b(file: GgufFile) -> Path:
    """Write the header of a Llama 8B: 32 layers, 8 key and value heads of 128, a context of 131,072."""
    return file.with_values(head_count_kv=8, file_type=15).write()
