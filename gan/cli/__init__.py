"""The command line: one module per command, of the same name."""
