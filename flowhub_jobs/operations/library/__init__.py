"""Installed models: listed, found, adopted, compared with their source, removed.

installed          lists, finds and removes models of one store · installed_in_stores: of all stores of a node
on_nodes           models of other nodes, for `list --node`
match              matches a reference to installed models, and chooses the file that a runtime opens
placed             placements of installed models
outdated           compares models with the catalog and the Hub
quick_verify       the check of sizes and times of `verify --quick`, and the results of `verify`
incomplete_model_files  detects candidates of `adopt` that are shorter than their header says

adopt_scan         finds models to adopt · identify: identifies files by their digests
adopt              links files into the store, and records them in the library

usage              disk usage of the store
cleanup            finds and removes partials, trash and old versions · cleanup_in_stores: in all stores of a node
least_recently_used   chooses models to remove for `prune --to-fit`
"""
