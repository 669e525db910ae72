"""What the event log costs the work beside it: `python -m benchmarks.events [--seconds S]`.

The work is the engine's own loop, which never lets go of the interpreter lock of its own accord: the
hardest neighbour there is. It runs in short turns, with and without events offered at the stated
rate, and the ratio is the median over pairs of turns, so that a busy machine troubles both alike.
Beside it stands the processor time of the threads that offer and carry, as a share of the clock:
what the log takes from the work where another core is free for the process that writes.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from basis_pipeline.engine import simulate
from basis_pipeline.operations.events.model import EventType
from basis_pipeline.operations.events.query import query
from basis_pipeline.operations.events.writer import EventLog
from benchmarks.made_up import made_up_market
