"""Subscriptions: references that the worker keeps up to date.

follow               follow and unfollow, as users type them
checker              checks one: asks its source, queues what is new, writes the result
check_model          a model: is there a newer version than the installed one?
check_hub_owner      an owner at the Hub: new repositories and quants
check_list_file      a list file: each of its references
check_result         the values that these return
next_check_line      one line for the screens
remove_old_versions  removes old versions beyond `--keep N`
"""
