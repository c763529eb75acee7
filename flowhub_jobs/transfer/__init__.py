"""Fetches the files of one artifact into a partial: resumed, verified, or a clear error. No queue, no database.

Read `fetch.py` first: it is the story of one transfer. Pure: `plan`, `headers`, `retry`, `tuning`, `content`.
On the disk: `partial`, `journal`, `digest`. On the wire: `connection`, `hosts`, `limit`.
"""
