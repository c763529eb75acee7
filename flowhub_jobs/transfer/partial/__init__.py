"""Partials: folders of files that are not installed yet. It knows nothing of a running transfer's state.

part_file         one file of a partial
journal           which bytes are on the disk · bytes_by_mirror: which bytes came from which mirror
hold              holds a partial for one run · ownership_decision: pure · owner_lock: the lock file
kept_bytes_copy   copies kept bytes out of the partial of a late run
seed_for_repair   makes a partial from installed files
"""
