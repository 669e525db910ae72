"""Temporary state that processes share: values by key, and messages. Everything can be rebuilt.

memory.py  within one process
redis.py   between processes, on a Redis server
shared.py  Redis where one is configured, and memory while it is unreachable: `open_state`
"""

from basis_pipeline.state.shared import State, open_state

__all__ = ["State", "open_state"]
