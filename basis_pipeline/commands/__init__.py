"""The commands of `basis`, one module each.

Heavy imports stay inside the functions, so that `--help` and a refused argument answer at once.
"""
