"""Studies: many problems, solved and counted."""
