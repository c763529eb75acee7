"""The parts of scripts/demo: the run, its models and their formats, processes, and checks."""
