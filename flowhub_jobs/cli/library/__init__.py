"""Verbs of installed models, and of their placements in the folders of other programs.

list               installed models and partial downloads · list_view: the screen · nodes_view: that of `list --node`
path               where an installed model is
du                 disk usage by model
verify             checks installed models against their checksums, and repairs damage

adopt              takes over models of other programs, and files in the store
export, import_    copies models to a folder, and from one
move               moves models to another store
outdated, update   lists models with a newer version, and queues it

rm                 removes models
prune              removes partial downloads, old versions and leftovers
pin, unpin         keep a model from `prune --to-fit`

place, unplace     place models in the folders of other programs, and remove them there
placements         lists the models in those folders

run_inline         runs the jobs of these verbs in the calling process, or leaves them to a worker
"""
