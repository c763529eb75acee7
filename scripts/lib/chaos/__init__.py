"""The parts of scripts/chaos. It imports `support` of the tests to run real workers.

command: arguments and verdict; run: rounds of faults, then calm; faults: those of workers, queue, disk and origin;
workers, disk, models, network: the objects of the faults; snapshot: the state at the end; checks: its invariants;
table: the summary.
"""
