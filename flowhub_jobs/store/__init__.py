"""The store: names to paths, room on the disk, the installation, and the library, which says what is installed."""
