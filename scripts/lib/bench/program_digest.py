"""The digest alone: SHA-256 of BYTES bytes of memory, by one thread. `program_digest.py BYTES`."""

import hashlib
import sys

BUFFER = memoryview(bytes(1 << 20))


def main() -> None:
    digest, remaining = hashlib.sha256(), int(sys.argv[1])
    while remaining:
        digest.update(BUFFER[:remaining])
        remaining -= min(remaining, len(BUFFER))
    digest.hexdigest()


if __name__ == "__main__":
    main()
