"""The results database: what is queried. The runs' directories of files remain the truth.

connection.py  opening a database; transactions whose failures carry a code
tables.py      what lies in it · migration.py, migrations/: bringing any database up to date
queue.py       what has been accepted · rows.py: the entry of a run · recording.py: writing it
archive.py     files, queue and database held together · worker.py: draining as long as wanted
runs.py        questions · comparing.py, export.py, pruning.py: what is done with the answers
backup.py      one file that restores into either database
control.py     emergency control: its state, and the breaches that stand
"""
