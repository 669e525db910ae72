"""Fetching raw files from exchanges, archives and chains, as dataset files say."""
