"""The command line: a few lines a verb over the hub. `main` is the door, with the one border where errors are told."""
