"""The tables of the shipped catalog (facts.csv, releases.csv, words.toml), and the modules that read them."""
