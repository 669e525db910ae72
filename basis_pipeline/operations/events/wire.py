"""How events travel to the scribe: lines of JSON, told apart by nothing but their ends.

`[when, context, component, type, fields]` is an event; `[when, context, component, type, columns,
numbers]` a table of many, `numbers` naming the columns that are base64 of an array's memory.
A message is the count of its bytes on a line, then its lines; a count of 0 asks to wait for the
disk.
"""

from base64 import b64decode
from collections.abc import Iterator
from typing import BinaryIO

import orjson

from basis_pipeline.operations.events.lines import Record


def message(lines: bytes) -> bytes:
    """The message that carries these lines."""
    return b"%d\n%b" % (len(lines), lines)


def read_message(source: BinaryIO) -> bytes | None:
    """The lines of the next message, cut short if its sender was killed; None at the end."""
    header = source.readline()
    return source.read(int(header)) if header.endswith(b"\n") else None


def records(lines: bytes) -> Iterator[Record]:
    """The events of these lines; what follows the last line's end is not one."""
    for line in lines.split(b"\n")[:-1]:
        when, context, component, kind, fields, *numbers = orjson.loads(line)
        if not numbers:
            yield when, context, component, kind, fields
            continue
        for name, code in numbers[0].items():
            fields[name] = memoryview(b64decode(fields[name])).cast(code).tolist()
        for values in zip(*fields.values(), strict=True):
            yield when, context, component, kind, dict(zip(fields, values, strict=True))
