"""SHA-256 whose state can be saved and restored, by way of libcrypto's own struct.

hashlib cannot save a running digest. libcrypto's SHA256_CTX is a plain struct of 112 bytes that can, through ctypes and
at hashlib's speed. The low-level API is deprecated and may be missing (a statically linked Python). It is tested once
per process: if that fails, `Sha256` uses hashlib and `save` returns None: then a resume reads the prefix again.
"""

import ctypes
import functools
import hashlib
import importlib
import struct
from collections.abc import Mapping

from flowhub_jobs.values.artifacts import Pieces

_STATE_BYTES = 112  # SHA256_CTX: h[8], Nl, Nh, data[16], num, md_len; all 32 bits
_Context = ctypes.c_uint8 * _STATE_BYTES


class Sha256:
    """A running SHA-256 over bytes given in order."""

    def __init__(self, saved: str | None = None) -> None:
        """Start a new digest, or continue from what `save` returned (hex)."""
        self._library = _library()
        self._plain = hashlib.sha256() if self._library is None else None
        self._context = _Context()
        if self._library is None:
            if saved is not None:
                raise ValueError("a saved digest needs libcrypto")
        elif saved is None:
            self._library.SHA256_Init(self._context)
        else:
            self._context = _Context.from_buffer_copy(bytes.fromhex(saved))

    def update(self, data: bytes | bytearray | memoryview) -> None:
        if self._library is None:
            assert self._plain is not None
            self._plain.update(data)
            return
        if isinstance(data, bytes):  # ctypes takes it as it is; the call runs without the GIL
            self._library.SHA256_Update(self._context, data, len(data))
        elif len(data):
            exported = ctypes.c_char.from_buffer(data)  # keeps the buffer in place while it is read
            self._library.SHA256_Update(self._context, ctypes.addressof(exported), len(data))

    def save(self) -> str | None:
        """Return the state in hex, to continue from in another process; None if it cannot be saved."""
        return None if self._library is None else bytes(self._context).hex()

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far; more may follow."""
        if self._library is None:
            assert self._plain is not None
            return self._plain.hexdigest()
        # Final writes its padding into the struct, so it gets a copy.
        last = _Context.from_buffer_copy(bytes(self._context))
        answer = ctypes.create_string_buffer(32)
        self._library.SHA256_Final(answer, last)
        return answer.raw.hex()


class PieceDigest:
    """Updates a digest from the byte `at` on, and saves its states at the ends of pieces, by the number of pieces."""

    def __init__(self, digest: Sha256, at: int, piece: int) -> None:
        self._digest, self.at, self._piece = digest, at, piece
        self.states: dict[int, str] = {}

    def update(self, data: memoryview) -> None:
        digest = self._digest
        while data:
            part = data[: _piece_end(self._piece, self.at) - self.at]
            digest.update(part)
            self.at += len(part)
            data = data[len(part) :]
            if self.at % self._piece == 0 and (saved := digest.save()) is not None:
                self.states[self.at // self._piece] = saved


def _piece_end(piece: int, at: int) -> int:
    return (at // piece + 1) * piece


_WORDS_BYTES = 32  # h[8]: with the number of bytes so far, that is the whole state between two blocks


def compact(saved: str) -> bytes:
    """Return the 32 bytes of a state that was saved between two blocks of 64 bytes; `expand` restores it."""
    return bytes.fromhex(saved)[:_WORDS_BYTES]


def expand(hash_words: bytes, at: int) -> str:
    """Return the state that `save` returned after `at` bytes, a multiple of 64, from what `compact` returned."""
    bits = at * 8
    counters = struct.pack("=II", bits & 0xFFFFFFFF, bits >> 32)
    return (hash_words + counters + bytes(64) + struct.pack("=II", 0, hashlib.sha256().digest_size)).hex()


def pieces_of(states: Mapping[int, str], piece: int, size: int) -> Pieces | None:
    """Return the states at the ends of all whole pieces of a file; None if one is missing."""
    count = size // piece if piece else 0
    try:
        compacted = [compact(states[number]) for number in range(1, count + 1)]
    except KeyError:
        return None
    # A libcrypto may have more in its struct than is known here: then no state can be restored.
    sound = all(expand(compacted[number], (number + 1) * piece) == states[number + 1] for number in range(count))
    return Pieces(piece, b"".join(compacted)) if count and sound else None


def states_of(pieces: Pieces) -> dict[int, str]:
    """Return the states in the result of `pieces_of`, by the number of whole pieces before them."""
    count = len(pieces.states) // _WORDS_BYTES
    states = [pieces.states[at * _WORDS_BYTES : (at + 1) * _WORDS_BYTES] for at in range(count)]
    return {number: expand(state, number * pieces.piece) for number, state in enumerate(states, 1)}


def can_save() -> bool:
    return _library() is not None


@functools.cache
def _library() -> ctypes.CDLL | None:
    try:
        # Looking names up in the _hashlib extension finds them in the very libcrypto that it is linked to.
        library = ctypes.CDLL(importlib.import_module("_hashlib").__file__)
        library.SHA256_Init.argtypes = [ctypes.c_void_p]
        library.SHA256_Update.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        library.SHA256_Final.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        return library if _proves_itself(library) else None
    except (ImportError, OSError, AttributeError, TypeError):
        return None


def _proves_itself(library: ctypes.CDLL) -> bool:
    """Return whether a digest that is saved in mid-block and continued in other memory equals hashlib's."""
    text = bytes(range(251)) * 3
    first, second = _Context(), _Context()
    library.SHA256_Init(first)
    library.SHA256_Update(first, text[:333], 333)
    ctypes.memmove(second, first, _STATE_BYTES)
    library.SHA256_Update(second, text[333:], len(text) - 333)
    answer = ctypes.create_string_buffer(32)
    library.SHA256_Final(answer, second)
    return answer.raw == hashlib.sha256(text).digest()
