"""The address of a running `flowhub web` as JSON: `flowhub/web/1`."""

from pathlib import Path


def web_json(url: str, base: str, token_file: Path, share_token_file: Path | None) -> dict[str, str | None]:
    """Return `flowhub/web/1`: `url` signs in one browser, `base` is the server's address without a path."""
    return {
        "schema": "flowhub/web/1",
        "url": url,
        "api": f"{base}/api/v1",
        "token_file": str(token_file),
        "share_token_file": str(share_token_file) if share_token_file else None,
    }
