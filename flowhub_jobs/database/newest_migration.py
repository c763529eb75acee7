"""The newest migration, so that a command need not import Alembic. A test compares it with migrations/."""

HEAD = "0012"
