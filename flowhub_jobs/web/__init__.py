"""The local page, the HTTP API and the share, served by `flowhub web`. Needs the extra `flowhub[web]`.

server             the process: binds an address, and serves until it is stopped · request_deadline: a time-out
app                the ASGI application: all routes behind the guard
guard              checks each request: host, origin, sign-in, size · sign_in: tickets, cookies and tokens
web_context        the open home and the state that requests share
call               request handlers as functions of a `Call`, run in a thread

pages/             the HTML pages
api/               the HTTP API · problems: errors as RFC 9457 · openapi: the OpenAPI document
live               the live changes that pages and API clients subscribe to · speed_samples: the speeds of a minute
metrics            `/healthz` and `/metrics`

share/             the store, served read-only to other machines
share_index        the shared models · share_admission: which nodes may read, and how many at a time
"""
