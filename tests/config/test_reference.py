"""The reference of a dataset file matches the models."""

from pathlib import Path

from basis_pipeline.config.reference import markdown


def test_the_page_is_current() -> None:
    """A key that is added shows up in the reference, or this fails."""
    page = Path(__file__).parents[2] / "docs" / "dataset-file.md"
    assert page.read_text() == markdown()
