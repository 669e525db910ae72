"""The event log: what happened, when, in which run, written beside the work and never in its way.

    model.py    what an event is: categories, types, levels
    log.py      for who has something to say: the process's log, component loggers, run context
    writer.py   the bounded queue events are offered to
    index.py    where each audit event stands, in the results database
    scribe.py   the process that masks, numbers and writes them, free of the work's interpreter lock
    files.py    file names, rotation, compression, retention
    lines.py    the lines of the files · packing.py, wire.py, pipe.py, carrier.py: the way there
    query.py    reading back

Nothing is imported here: the scribe starts once a process, and must start fast.
"""
