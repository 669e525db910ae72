"""The commands of `basis`, one module each.

Heavy imports stay inside the functions, so that `--help` and a rejected argument answer at once.
"""
