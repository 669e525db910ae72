"""The example notebook: it runs as it stands, and says today what it said when it was committed."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from docs.make_notebook import NOTEBOOK, execute

MEND = "run python docs/make_notebook.py and look at what changed"
RUN = re.compile(r"\b[0-9a-f]{16}\b")  # changes with every line of the engine
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def _told(notebook: NotebookNode) -> list[tuple[str, list[str]]]:
    """Source and texts of every cell."""
    result = []
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]
        result.append((cell.source, [RUN.sub("RUN", text) for text in texts]))
    return result


@pytest.fixture(scope="module")
def committed() -> NotebookNode:
    """The notebook as it is in the tree."""
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_says_what_it_said(committed: NotebookNode) -> None:
    """Executed again from the top on data it makes itself, every number comes out the same."""
    again = execute()
    assert len(again.cells) == len(committed.cells), MEND
    for (source, result), (now_source, now) in zip(_told(committed), _told(again), strict=True):
        assert source == now_source, MEND
        assert [NUMBER.sub("#", text) for text in result] == [NUMBER.sub("#", text) for text in now]
        was, is_now = (
            [float(number) for text in texts for number in NUMBER.findall(text)]
            for texts in (result, now)
        )
        assert is_now == pytest.approx(was, rel=1e-6, abs=1e-12), f"{source}\n{MEND}"


def test_it_names_no_place_of_a_machine(committed: NotebookNode) -> None:
    """What a reader sees must not depend on where the notebook was run."""
    text = Path(NOTEBOOK).read_text(encoding="utf-8")
    assert not re.search(r"/(?:tmp|home|root|Users|var)/", text)
    assert not any(
        cell.get("outputs") == [] for cell in committed.cells if "backtest(" in cell.source
    )
