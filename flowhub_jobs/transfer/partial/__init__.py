"""The partial on the disk: its files, its journal, and the run that owns it. Knows no transfer state."""
