"""The results database: what is queried. The runs' directories of files remain the truth.

connection.py  opening a database; transactions whose failures carry a code
tables.py      what lies in it · migration.py, migrations/: bringing any database up to date
archive.py     files, queue and database held together · recording.py: the rows of a run
runs.py        questions · backup.py: one file that restores
"""
