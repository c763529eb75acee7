"""The tables, the engine with its pragmas, and the migrations. Every connection of flowhub is made here.

tables             the tables of SQLite and PostgreSQL
engine             opens the database, migrates it, and begins transactions
lazy               a home's database, opened at first use; plain SQL without SQLAlchemy
newest_migration   the newest migration, for a start without Alembic
exception_types    the errors of a replaced, damaged or newer database

sqlite_connect_options     options of every connection to a SQLite file
replaced_file_guard  detects that an open SQLite file was replaced, removed or damaged
change_detector    detects writes by other connections and processes
make_backup        copies a SQLite database to one file

postgresql         the engine and the errors of PostgreSQL · postgresql_facts: facts about a server, for `doctor`
notifications      notifications of a node's workers by PostgreSQL
clock              the time that several machines compare

job_conditions     conditions on rows of `jobs`, as SQL
batches            many values or statements in few queries
decode_row_values  converts the values of rows that plain SQL reads · stored_json: reads JSON columns, damaged ones too
"""
