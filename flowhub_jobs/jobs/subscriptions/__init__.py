"""Subscriptions as rows: references that are kept up to date.

subscription_values   a subscription, and the outcome of a check; pure
check_times           when the next check is due; pure
subscription_queries  every read, as values
subscription_rows     the writes: follow, unfollow, the outcomes of checks
"""
