"""What is installed: listed, found, adopted, compared with its source, cleared away."""
