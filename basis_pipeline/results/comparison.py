"""The comparison of modes: one table, one plot, links to the tear sheets."""

from collections.abc import Mapping, Sequence
from typing import Any

from basis_pipeline.results.plots import growth_plot_png
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.summary import growth_of
from basis_pipeline.results.tear_sheet import PAGES, amount, inline, percent, share_class


def comparison_html(
    results: Sequence[RunResult],
    links: Mapping[str, str] | None = None,
    verdicts: Mapping[str, str] | None = None,
) -> str:
    """One page over the runs of several modes, in the order given.

    Parameters
    ----------
    links: mode → address of its tear sheet, relative to this page.
    verdicts: mode → its gates in one word: PASS, WARN, FAIL or SKIP.
    """
    windows = sorted({f"{r.identity.start:%Y-%m-%d} to {r.identity.end:%Y-%m-%d}" for r in results})
    return PAGES.get_template("comparison.html.j2").render(
        windows=windows,
        rows=[_row(result, links or {}, verdicts or {}) for result in results],
        growth_png=inline(comparison_plot_png(results)),
    )


def comparison_plot_png(results: Sequence[RunResult]) -> bytes:
    """Return of every mode since its start, each in its own currency, flows removed."""
    return growth_plot_png(
        {
            result.mode: (
                result.frames["equity"]["timestamp"],
                growth_of(result.frames, result.identity.capital),
            )
            for result in results
        }
    )


def _row(
    result: RunResult, links: Mapping[str, str], verdicts: Mapping[str, str]
) -> dict[str, Any]:
    summary = result.summary
    return {
        "mode": result.mode,
        "currency": share_class(result),
        "link": links.get(result.mode, ""),
        "verdict": verdicts.get(result.mode, ""),
        "cells": [
            percent(summary["total_return"]),
            percent(summary["apy"]),
            percent(summary["volatility"]),
            amount(summary["sharpe"]),
            percent(summary["max_drawdown"]),
            percent(summary["carry_per_year"]),
            amount(summary["min_health_factor"], 3),
            amount(summary["min_margin_ratio"], 3),
            amount(summary["rebalances"], 0),
            amount(summary["liquidations"], 0),
        ],
    }
