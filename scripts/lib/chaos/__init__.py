"""The parts of scripts/chaos. It runs real workers with the tests' support, which is why it imports `support`.

command: arguments and verdict; run: rounds, then calm; faults: what is done to the workers, queue, disk and origin;
workers, disk, models, network: what it is done to; snapshot: what is left at the end; checks: what must hold of it;
table: the summary.
"""
