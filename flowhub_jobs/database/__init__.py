"""All tables, the engine with its pragmas, and the migrations applied. Nobody above makes a connection otherwise."""
