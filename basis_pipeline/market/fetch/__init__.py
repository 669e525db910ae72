"""Fetching raw files from exchanges, archives and chains, as dataset files say."""

from basis_pipeline.market.fetch.feed import (
    Fetched,
    Request,
    fetch_feeds,
    plan,
    require_sources,
)

__all__ = ["Fetched", "Request", "fetch_feeds", "plan", "require_sources"]
