"""The local page, the HTTP API and the share, served by `flowhub web`. Needs the extra `flowhub[web]`."""
