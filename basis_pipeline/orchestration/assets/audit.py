"""`report/data_audit` and `report/gates`: pages on the whole pipeline."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from basis_pipeline.config import Configs
from basis_pipeline.config.control import load_control_limits
from basis_pipeline.errors import BasisError, DataError
from basis_pipeline.market.audit import (
    FeedAudit,
    audit_feed,
    audit_table,
    count_verdicts,
    worst_first,
)
from basis_pipeline.market.fetch.store import read_revisions
from basis_pipeline.operations.control import require_not_shut_down
from basis_pipeline.operations.waivers import read_waivers, waived
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.assets.raw import raw_key
from basis_pipeline.orchestration.assets.results import RECORD
from basis_pipeline.orchestration.failures import coded_failures
from basis_pipeline.orchestration.io_managers import ParquetIOManager
from basis_pipeline.orchestration.metadata import table
from basis_pipeline.orchestration.records import evaluations, gates_of_all
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.reports.data_audit import data_audit_html
from basis_pipeline.reports.gates import gates_html
from basis_pipeline.reports.page import Provenance, write_page
from basis_pipeline.settings import config_directory
from basis_pipeline.verdict import counts, failing

DATA_AUDIT = dg.AssetKey(["report", "data_audit"])
GATES = dg.AssetKey(["report", "gates"])
CODE_VERSION = "1"


def data_audit_asset(configs: Configs) -> dg.AssetsDefinition:
    """Return the page on the quality of every feed that was ingested."""

    @dg.asset(
        key=DATA_AUDIT,
        deps=[dataset_key(name) for name in configs.datasets],
        group_name="report",
        kinds={"html"},
        owners=["team:market-data"],
        code_version=CODE_VERSION,
        description=(
            "One page on all data feeds: a verdict with its reasons, the days each covers, gaps, "
            "repairs and their sources, outliers, spreads between venues, revisions.\n\n"
            "**Units:** rows, hours, basis points. **Source:** the feeds and datasets of the "
            "warehouse; feeds that were never ingested are left out. **What is at stake:** which "
            "data to trust. No backtest reads the page; people who release deliveries do."
        ),
    )
    def data_audit(
        context: dg.AssetExecutionContext,
        options: RunOptions,
        warehouse: dg.ResourceParam[ParquetIOManager],
    ) -> dg.MaterializeResult[None]:
        """Write the page from the values in the warehouse."""
        with coded_failures():
            require_not_shut_down(options.settings, "report/data_audit")
            audits = _audits(options, warehouse)
            what = f"{options.data.name}: {options.window} UTC"
            page = options.reports / "data_audit.html"
            provenance = Provenance.now(context.run.run_id, options.settings.environment)
            write_page(page, data_audit_html(audits, what, provenance))
        columns = ["feed", "verdict", "rows", "gaps", "message"]
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.path(page),
                "feeds": table(audit_table(audits).reindex(columns=columns), limit=200),
                **{
                    f"feeds_{status.name.lower()}": n
                    for status, n in count_verdicts(audits).items()
                },
                "gaps": sum(a.gaps or 0 for a in audits),
                "repaired_rows": sum(sum(a.findings.repairs.values()) for a in audits),
            }
        )

    return data_audit


def _audits(options: RunOptions, warehouse: ParquetIOManager) -> list[FeedAudit]:
    """Return the audits of the feeds that were ingested, the worst first."""
    audits = []
    for name, config in options.configs.datasets.items():
        outcome = _outcome(warehouse, dataset_key(name))
        if outcome is None:
            continue
        rejected = isinstance(outcome, DataError)
        names = [name, *config.sources] if rejected else []
        feeds = {n: f for n in names if (f := _outcome(warehouse, raw_key(n))) is not None}
        found = audit_feed(config, outcome, feeds, options.window)
        audits.append(replace(found, revisions=read_revisions(options.data, name)))
    return worst_first(audits)


def _outcome(warehouse: ParquetIOManager, key: dg.AssetKey) -> Any:
    """Return a value, or the error of a rejected one; None when there is neither."""
    try:
        return warehouse.load(key)
    except DataError as rejection:
        return rejection
    except BasisError:
        return None


def gates_asset(checks: Sequence[dg.AssetCheckSpec]) -> dg.AssetsDefinition:
    """Return the page on the verdicts of `checks`, the checks of the whole graph."""

    @dg.asset(
        key=GATES,
        deps=[dg.AssetDep(RECORD, partition_mapping=dg.AllPartitionMapping())],
        group_name="report",
        kinds={"html"},
        owners=["team:platform"],
        code_version=CODE_VERSION,
        description=(
            "One page with the verdict of every quality gate by phase and asset, blocking failures "
            "first. It shows the message, the figures and the run of each.\n\n"
            "**Units:** numbers of gates. **Source:** the latest record of every check in this "
            "instance, as in `basis gates`. **What is at stake:** a broken feed or a wrong "
            "backtest that looks released."
        ),
    )
    def gates(context: dg.AssetExecutionContext, options: RunOptions) -> dg.MaterializeResult[None]:
        """Write the page from the latest records of the checks."""
        recorded = gates_of_all(context.instance, checks)
        with coded_failures():
            require_not_shut_down(options.settings, "report/gates")
            provenance = Provenance.now(context.run.run_id, options.settings.environment)
            verdicts = waived(recorded, read_waivers(options.settings))
            html = gates_html(
                verdicts,
                provenance,
                history=evaluations(context.instance, recorded),
                control=load_control_limits(config_directory()),
            )
            page = write_page(options.reports / "gates.html", html)
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.path(page),
                "verdict": "FAIL" if failing(verdicts) else "PASS",
                **{f"gates_{status.name.lower()}": n for status, n in counts(verdicts).items()},
            }
        )

    return gates
