"""What there is, and whether it runs here: search, cards, variants held against a machine."""
