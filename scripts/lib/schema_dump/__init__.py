"""Dumps of the database's schemas, for the tests of the migrations."""
