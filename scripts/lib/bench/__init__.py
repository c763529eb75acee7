"""The parts of scripts/bench.

command: the requested cases, and the tables; cases, cases_fetch, cases_worker, case_last_byte, case_scale:
the cases; context, files, fetch specs (competitors), home: what a case works with; runs: programs in turn; networks,
nginx, slow_line: servers and lines; figures, machine, smoothness: numbers; program_*: processes that a case starts.
"""
