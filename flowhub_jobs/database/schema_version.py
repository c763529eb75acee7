"""The newest migration; a test holds it against migrations/. Knowing it saves Alembic's import on every command."""

HEAD = "0004"
