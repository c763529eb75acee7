"""What a file is made of, for those who fetch and those who verify: ranges, pieces, and a digest that can be saved."""
