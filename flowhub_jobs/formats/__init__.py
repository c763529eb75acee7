"""What the files of models say of themselves: pure parsing of their first bytes, no network."""
