"""A body as it was packed on the way, unpacked bit by bit: nobody's memory is filled by a small answer."""

import zlib
from collections.abc import Callable

from flowhub_jobs.content_range import coding_of
from flowhub_jobs.errors import ConnectionLost, WrongContent

Unpack = Callable[[bytes, int], bytes]


def unpacker(encoding: str, host: str) -> Unpack:
    """Return what turns a chunk into at most so many bytes: a small answer may unpack to gigabytes.

    An empty chunk says that no more comes.
    """
    coding = coding_of(encoding)
    if coding is None:
        return lambda chunk, most: chunk[:most]
    if coding not in ("gzip", "x-gzip"):
        raise WrongContent(f"{host} answers in {coding[:20]!r}, which was not asked for.")
    gzip, begun = zlib.decompressobj(wbits=31), False

    def unpack(chunk: bytes, most: int) -> bytes:
        nonlocal begun
        if not chunk and begun and not gzip.eof:
            raise ConnectionLost(f"{host} ended its answer too early.")
        begun = True
        try:
            return gzip.decompress(chunk, most)
        except zlib.error as error:
            raise WrongContent(f"{host} sends what cannot be unpacked: {error}.") from error

    return unpack
