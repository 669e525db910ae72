"""The results database, for queries; the directories of the runs remain the source of truth.

connection.py  opens a database; transactions whose failures carry a code
tables.py      the tables · migration.py, migrations/: bring any database up to date
archive.py     keeps files, queue and database consistent · recording.py: the rows of a run
runs.py        queries · signals.py: removal of old signals · backup.py: backup and restore
"""
