"""The parts of scripts/fleet.

command ──► run ──► nodes, origin_process, sampling ──► figures; simulation needs no process.
"""
