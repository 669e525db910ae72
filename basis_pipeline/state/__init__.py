"""What processes share for a while: values by key, and messages as they happen. Nothing is truth.

memory.py  within one process
redis.py   between processes, on a Redis server
shared.py  Redis where one is named, and memory while it is gone: `open_state`
"""

from basis_pipeline.state.shared import State, open_state

__all__ = ["State", "open_state"]
