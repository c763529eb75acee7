"""Public JSON: every object with a schema name `flowhub/…/1`, and no other module makes one.

A function `*_json` returns an object as a dict, for `--json` and for the HTTP API alike. All keys are always present;
unknown is null. Keys may be added, never removed or renamed. Bytes and seconds are numbers, `*_bps` is bytes a second,
times are RFC 3339 in UTC.

plain_json       values as plain JSON, for the modules below
jobs             jobs, plan, logs
library          installed, path, pinned, removed, verify, outdated, adopt, pruned, du
placements       placements, unplaced
subscriptions    subscriptions
search           search, model, fits, device
catalogs         catalogs, catalog-import, -update, -validate, -removed
report           report
controls         limit, schedule, cap
workers          worker, service
nodes            nodes, node-removed, token-rotated
database         database
doctor           doctor
manual           help
web_address      web
"""
