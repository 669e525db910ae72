"""The results database: what is queried. The runs' directories of files remain the truth.

A module a concept: `connection` opens a database, `tables` says what lies in it, `migration` brings
any of them up to date.
"""
