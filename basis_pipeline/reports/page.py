"""A page that needs nothing beside itself: templates, style, script and the chart library inside.

Plotly's library is too large to be put in as it is; it goes in compressed, and the page's script
unpacks it. Without script the tables still say everything.
"""

import base64
import gzip
import json
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from basis_pipeline.reports.colours import DARK, LIGHT, custom_properties
from basis_pipeline.reports.drawing import Chart

PAGES = Environment(
    loader=PackageLoader("basis_pipeline.reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(template: str, charts: Sequence[Chart], **context: Any) -> str:
    """Fill a template of a page; its charts are drawn by the page's script when it is opened.

    A page without charts carries neither script nor library.
    """
    return PAGES.get_template(template).render(
        charts={chart.key: chart for chart in charts},
        chart_data=_script_text(json.dumps([chart.as_json() for chart in charts])),
        plotly=Markup(_plotly()) if charts else "",
        light=Markup(custom_properties(LIGHT)),
        dark=Markup(custom_properties(DARK)),
        **context,
    )


def _script_text(text: str) -> Markup:
    """JSON that may stand inside a script element, whatever its strings hold."""
    return Markup(text.replace("<", "\\u003c"))


@lru_cache(maxsize=1)
def _plotly() -> str:
    """Plotly's library, compressed, as base64."""
    library = files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return base64.b64encode(gzip.compress(library, 9, mtime=0)).decode("ascii")
