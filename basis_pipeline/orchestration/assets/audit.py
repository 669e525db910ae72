"""`report/data_audit` and `report/gates`: pages over the whole pipeline."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pandas as pd

from basis_pipeline.config import Configs
from basis_pipeline.errors import BasisError, DataError
from basis_pipeline.market.audit import (
    FeedAudit,
    audit_feed,
    audit_table,
    counted,
    worst_first,
)
from basis_pipeline.operations.control import require_open
from basis_pipeline.orchestration import figures
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.assets.raw import raw_key
from basis_pipeline.orchestration.assets.results import RECORD
from basis_pipeline.orchestration.failures import coded_failures
from basis_pipeline.orchestration.io_managers import ParquetIOManager
from basis_pipeline.orchestration.records import gates_of_all
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.orchestration.tables import table
from basis_pipeline.reports.data_audit import write_data_audit
from basis_pipeline.reports.gates import write_gates_page
from basis_pipeline.verdict import Status, Verdict, counts, failing

DATA_AUDIT = dg.AssetKey(["report", "data_audit"])
GATES = dg.AssetKey(["report", "gates"])
CODE_VERSION = "1"


def data_audit_asset(configs: Configs) -> dg.AssetsDefinition:
    """The audit of every feed that was ingested."""

    @dg.asset(
        key=DATA_AUDIT,
        deps=[dataset_key(name) for name in configs.datasets],
        group_name="report",
        kinds={"html"},
        owners=["team:market-data"],
        code_version=CODE_VERSION,
        description=(
            "One page over all data feeds: a calendar of the days each covers, gaps and what "
            "filled them, repairs, outliers and the spreads between venues, as pictures and "
            "tables.\n\n"
            "**Units:** rows, hours, and basis points for spreads. **Source:** the raw feeds "
            "and datasets of the warehouse, over the window of the run; what was never ingested "
            "is not on it.\n\n"
            "**What is at stake:** whom to trust. No backtest reads it, but a person who releases "
            "a data delivery does."
        ),
    )
    def data_audit(
        context: dg.AssetExecutionContext,
        options: RunOptions,
        warehouse: dg.ResourceParam[ParquetIOManager],
    ) -> dg.MaterializeResult[None]:
        """Write the page from what the warehouse holds."""
        with coded_failures():
            require_open(options.settings, "report/data_audit")
            audits = _audits(options, warehouse)
            what = f"{options.data.name}: {options.window} UTC"
            provenance = figures.provenance(context, options.settings.environment)
            page = options.reports / "data_audit.html"
            write_data_audit(page, audits, what, provenance)
        return dg.MaterializeResult(metadata={**figures.page(page), **_data_facts(audits)})

    return data_audit


def _audits(options: RunOptions, warehouse: ParquetIOManager) -> list[FeedAudit]:
    """The audit of every feed that was ingested; what was never ingested is left out."""
    audits = []
    for name, config in options.configs.datasets.items():
        outcome = _outcome(warehouse, dataset_key(name))
        if outcome is None:
            continue
        rejected = isinstance(outcome, DataError)
        names = [name, *config.sources] if rejected else []
        feeds = {n: f for n in names if (f := _outcome(warehouse, raw_key(n))) is not None}
        audits.append(audit_feed(config, outcome, feeds, options.window))
    return worst_first(audits)


def _outcome(warehouse: ParquetIOManager, key: dg.AssetKey) -> Any:
    """A value, or the error that stands in its place; None when there is neither."""
    try:
        return warehouse.load(key)
    except DataError as rejection:
        return rejection
    except BasisError:
        return None


def _data_facts(audits: Sequence[FeedAudit]) -> dict[str, Any]:
    columns = ["feed", "verdict", "rows", "gaps", "message"]
    return {
        "feeds": table(audit_table(audits).reindex(columns=columns), limit=200),
        **{f"feeds_{status.name.lower()}": n for status, n in counted(audits).items()},
        "rows": sum(a.findings.rows for a in audits),
        "gaps": sum(a.gaps or 0 for a in audits),
        "repaired_rows": sum(sum(a.findings.repairs.values()) for a in audits),
        "outliers": sum(len(a.findings.outliers) for a in audits),
        "warnings": sum(v.status is Status.WARN for a in audits for v in a.verdicts),
    }


def gates_asset(checks: Sequence[dg.AssetCheckSpec]) -> dg.AssetsDefinition:
    """The verdicts of `checks`, those of the whole graph."""

    @dg.asset(
        key=GATES,
        deps=[dg.AssetDep(RECORD, partition_mapping=dg.AllPartitionMapping())],
        group_name="report",
        kinds={"html"},
        owners=["team:platform"],
        code_version=CODE_VERSION,
        description=(
            "One page with the verdict of every quality gate by phase and asset, what stops the "
            "line first, each with its message, its figures and the run that evaluated it.\n\n"
            "**Units:** numbers of gates. **Source:** the latest record of every check in this "
            "instance, whichever run wrote it.\n\n"
            "**What is at stake:** a broken feed or an unsound backtest that looks released. "
            "`basis gates` reads the same records and must say the same."
        ),
    )
    def gates(context: dg.AssetExecutionContext, options: RunOptions) -> dg.MaterializeResult[None]:
        """Write the page from the records as they stand."""
        found = gates_of_all(context.instance, checks)
        with coded_failures():
            require_open(options.settings, "report/gates")
            provenance = figures.provenance(context, options.settings.environment)
            page = write_gates_page(options.reports / "gates.html", found, provenance)
        return dg.MaterializeResult(metadata={**figures.page(page), **_gate_facts(found)})

    return gates


def _gate_facts(gates: Sequence[Verdict]) -> dict[str, Any]:
    telling = [gate for gate in gates if gate.status in (Status.FAIL, Status.WARN)]
    rows = pd.DataFrame(
        [(gate.status.value, gate.name, gate.message) for gate in telling],
        columns=["verdict", "gate", "evidence"],
    )
    return {
        "verdict": "FAIL" if failing(gates) else "PASS",
        "telling": table(rows.sort_values("verdict", kind="stable"), limit=100),
        **{f"gates_{word.value.lower().replace(' ', '_')}": n for word, n in counts(gates).items()},
    }
