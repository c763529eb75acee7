"""The tables, the engine with its pragmas, and the migrations. Every connection of flowhub is made here."""
