"""From raw exchange and protocol CSVs to quality-gated backtests of basis and yield strategies."""

__version__ = "0.1.0"
