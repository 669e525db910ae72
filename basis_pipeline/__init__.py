"""Quality-gated backtests of basis and yield strategies from raw exchange and protocol data."""

__version__ = "0.1.0"
