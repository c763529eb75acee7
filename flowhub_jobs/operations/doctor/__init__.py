"""The checks of `flowhub doctor`: each tries one thing that downloads rely on, and says what to do where it fails."""
