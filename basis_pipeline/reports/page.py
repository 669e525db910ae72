"""A self-contained page: template, style, script and chart library in one file.

Plotly's library is embedded compressed because of its size, and the page's script unpacks it.
Without script the tables still hold every figure.
"""

import base64
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from basis_pipeline.errors import ResultsError
from basis_pipeline.files import write_atomically
from basis_pipeline.reports.banners import Banner
from basis_pipeline.reports.chart import Chart
from basis_pipeline.reports.downloads import Download
from basis_pipeline.reports.plot_theme import DARK, LIGHT, custom_properties
from basis_pipeline.reports.table import Table
from basis_pipeline.results.tables import columns_of
from basis_pipeline.verdict import Status

TEMPLATES = Environment(
    loader=PackageLoader("basis_pipeline.reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
TEMPLATES.tests["chart"] = lambda part: isinstance(part, Chart)


@dataclass(frozen=True, slots=True)
class Provenance:
    """When a page was written, by which run, and in which environment.

    run_id: the Dagster run; empty for a page that a command wrote. environment: that of the
    settings; empty where none is given.
    """

    written_at: datetime
    run_id: str = ""
    environment: str = ""

    @classmethod
    def now(cls, run_id: str = "", environment: str = "") -> Self:
        """Return the provenance of a page that is written now."""
        return cls(datetime.now(UTC), run_id, environment)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page: a heading, a note or sentences, then charts and tables in their order."""

    title: str
    parts: Sequence[Chart | Table]
    note: str = ""
    sentences: Sequence[str] = ()

    @property
    def id(self) -> str:
        """The target of links within the page."""
        return self.title.lower().replace(" ", "-")

    @property
    def charts(self) -> list[Chart]:
        """The charts among its parts."""
        return [part for part in self.parts if isinstance(part, Chart)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The content of a page of figures, from top to bottom.

    stamp: the overall verdict, and its level: alarm, warn or good. facts: label and value of what
    the page is about. answer: the main findings. counts: verdicts by status. headline: figures in
    large type. downloads: tables of a run that are embedded in the page.
    """

    title: str
    what: str
    sections: Sequence[Section]
    footer: str
    stamp: tuple[str, str] | None = None
    facts: Sequence[tuple[str, str]] = ()
    banners: Sequence[Banner] = ()
    counts: Mapping[Status, int] = field(default_factory=dict)
    headline: Sequence[Mapping[str, Any]] = ()
    answer: Sequence[str] = ()
    downloads: Sequence[Download] = ()

    @property
    def ledger_titles(self) -> list[str]:
        """Columns of the events, for the searchable list."""
        return ["timestamp", *columns_of("events")]

    def html(self, provenance: Provenance) -> str:
        """Return the page."""
        charts = [chart for section in self.sections for chart in section.charts]
        return render("figures.html.j2", provenance, charts, page=self)


def render(
    template: str, provenance: Provenance, charts: Sequence[Chart] = (), **context: Any
) -> str:
    """Fill the template of a page, whose script draws the charts when it is opened.

    A page without charts does not contain the library.
    """
    data = f"[{','.join(chart.to_json() for chart in charts)}]"
    return TEMPLATES.get_template(template).render(
        # JSON that is safe inside a script element, whatever its strings hold.
        chart_data=Markup(data.replace("<", "\\u003c")),
        plotly=Markup(_plotly()) if charts else "",
        light=Markup(custom_properties(LIGHT)),
        dark=Markup(custom_properties(DARK)),
        provenance=provenance,
        **context,
    )


def write_page(page: Path, html: str) -> Path:
    """Write a page atomically; a reader finds the old one or the new one.

    Raises
    ------
    ResultsError: RS-001 when it cannot be written.
    """
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(page, html.encode())
    except OSError as error:
        what = f"the page cannot be written: {error.strerror}"
        raise ResultsError("RS-001", what, where=str(error.filename or page)) from error
    return page


@lru_cache(maxsize=1)
def _plotly() -> str:
    """Return Plotly's library, compressed, as base64."""
    library = files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return base64.b64encode(gzip.compress(library, 9, mtime=0)).decode("ascii")
