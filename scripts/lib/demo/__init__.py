"""The parts of scripts/demo: the run from top to bottom, its models and their formats, processes, and checks."""
