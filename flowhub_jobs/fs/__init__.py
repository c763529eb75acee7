"""File system: names, atomic writes, safe reads, locks, and the disk's errors as flowhub's own."""
