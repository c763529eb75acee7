"""Completion in the shell: scripts that hold every verb and option, and a quick answer for names that change."""
