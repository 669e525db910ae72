"""`basis data audit` and `basis data sample` as a person calls them."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from basis_pipeline.settings import project_root
from tests import shell


@pytest.fixture
def data(sample: Path, tmp_path: Path) -> Path:
    """The families of lending and of gas, whose file is empty; the others are absent."""
    for family in ("protocol_data/aave", "blockchain_data"):
        shutil.copytree(sample / family, tmp_path / "data" / family)
    next((tmp_path / "data").rglob("ethereum_gas*.csv")).write_text("")
    return tmp_path / "data"


def test_the_audit_has_one_verdict_a_feed_in_every_form(data: Path, tmp_path: Path) -> None:
    """A table, JSON for scripts, Markdown and a page with charts: every feed, the same counts."""
    lines = json.loads(_audited(data, "json", tmp_path / "json"))
    verdicts = Counter(line["verdict"] for line in lines)
    counts = ", ".join(f"{verdicts[name]} {name}" for name in ("FAIL", "WARN", "PASS", "N/A"))
    feeds = len(list((project_root() / "configs" / "datasets").glob("*.yaml")))
    assert len(lines) == feeds
    assert verdicts["FAIL"] == 1
    for form in ("table", "markdown", "html"):
        document = _audited(data, form, tmp_path / form)
        assert all(line["feed"] in document for line in lines), form
        assert "DATA-002" in document
        if form != "html":
            assert f"{feeds} feeds: {counts}" in document
    page = re.sub(r"<[^>]+>", " ", (tmp_path / "html").read_text())
    for name in ("FAIL", "WARN", "PASS"):
        assert re.search(rf"\b{verdicts[name]}\W+{name}\b", page), name
    assert "plotly" in (tmp_path / "html").read_text()
    rejected = shell.call("data", "audit", "--data-dir", data, "--out", tmp_path / "no" / "place")
    assert rejected.returncode == 2
    assert rejected.stderr.startswith("API-002")


def _audited(data: Path, form: str, out: Path) -> str:
    done = shell.call("data", "audit", "--data-dir", data, "--format", form, "--out", out)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    return out.read_text()


def test_a_sample_is_usable_in_every_feed(tmp_path: Path) -> None:
    """As it is written, the audit finds nothing to reject."""
    out = tmp_path / "sample"
    assert shell.call("data", "sample", "--out", out, "--days", "60").returncode == 0
    audited = shell.call("data", "audit", "--data-dir", out, "--format", "json")
    verdicts = {line["verdict"] for line in json.loads(audited.stdout)}
    assert audited.returncode == 0
    assert verdicts == {"PASS", "WARN"}
