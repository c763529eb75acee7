"""Repositories of the Hub: what a reference to one means, what it holds, and which of its files are wanted."""
