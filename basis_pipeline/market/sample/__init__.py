"""Generated market data in the layout of the real one, for a first run and for tests."""

from basis_pipeline.market.sample.generate import MANIFEST, write_sample

__all__ = ["MANIFEST", "write_sample"]
