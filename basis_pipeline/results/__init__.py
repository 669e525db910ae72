"""The results of runs: figures, tables, the store and its database."""
