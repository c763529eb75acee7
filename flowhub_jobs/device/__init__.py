"""The machine: its memory, GPUs and disk, and the models that it can run."""
