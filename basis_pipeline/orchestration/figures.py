"""Headline figures of a run as metadata: plots, tables, numbers."""

import base64
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from basis_pipeline.orchestration.tables import table
from basis_pipeline.reports.page import Provenance
from basis_pipeline.results.store import RunResult

HEADLINES = (
    "final_equity",
    "total_return",
    "apy",
    "max_drawdown",
    "sharpe",
    "min_health_factor",
    "min_margin_ratio",
    "rebalances",
    "liquidations",
    "max_abs_residual",
)


def headlines(result: RunResult) -> dict[str, Any]:
    """The figures a person looks at first, where they are defined."""
    summary = result.summary
    return {name: summary[name] for name in HEADLINES if summary.get(name) is not None}


def image(png: bytes, title: str) -> dg.MarkdownMetadataValue:
    """A plot that the UI shows in place."""
    text = base64.b64encode(png).decode("ascii")
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{text})")


def page(file: Path) -> dict[str, Any]:
    """Return where a page lies, to be copied: browsers open no file:// link of a web page."""
    return {"page": dg.MetadataValue.path(file)}


def provenance(context: dg.AssetExecutionContext, environment: str) -> Provenance:
    """Return when and by which run a page is written."""
    return Provenance.now(context.run.run_id, environment)


def attribution_table(result: RunResult) -> dg.TableMetadataValue:
    """Profit and loss by component over the whole run."""
    parts = result.summary["attribution"]
    return table(pd.DataFrame({"component": list(parts), "amount": list(parts.values())}))


def months_table(result: RunResult) -> dg.TableMetadataValue:
    """Return and profit groups by month."""
    return table(pd.DataFrame(result.summary["months"]), limit=120)


def events_table(result: RunResult) -> dg.TableMetadataValue:
    """The first events of the ledger."""
    return table(result.frames["events"], limit=30)
