"""Partials: folders of files that are not installed yet. It knows nothing of a running transfer's state.

part_file     one file of a partial · journal: which of its bytes are on the disk
claim         claims a partial for one run ─► ownership (the pure decision), owner_lock (the lock file)
copy          copies kept bytes out of a late run's partial · seed_for_repair: makes a partial from installed files
"""
