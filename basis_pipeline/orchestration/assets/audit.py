"""`report/data_audit` and `report/gates`: pages over the whole pipeline."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from basis_pipeline.config import Configs
from basis_pipeline.errors import BasisError, DataError
from basis_pipeline.market.audit import Examined
from basis_pipeline.market.evidence import Evidence
from basis_pipeline.operations.control import require_open
from basis_pipeline.operations.data_report import audit_html, counted, evidence_of
from basis_pipeline.operations.gate_reports import gates_html
from basis_pipeline.orchestration import figures
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.assets.raw import raw_key
from basis_pipeline.orchestration.assets.report import write_page
from basis_pipeline.orchestration.assets.results import RECORD
from basis_pipeline.orchestration.failures import coded_failures
from basis_pipeline.orchestration.io_managers import ParquetIOManager
from basis_pipeline.orchestration.records import gates_of_all
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.orchestration.tables import table
from basis_pipeline.verdict import Status, Verdict, counts, failing

DATA_AUDIT = dg.AssetKey(["report", "data_audit"])
GATES = dg.AssetKey(["report", "gates"])
CODE_VERSION = "1"


def data_audit_asset(configs: Configs) -> dg.AssetsDefinition:
    """The audit of every family that was ingested."""

    @dg.asset(
        key=DATA_AUDIT,
        deps=[dataset_key(name) for name in configs.datasets],
        group_name="report",
        kinds={"html"},
        owners=["team:market-data"],
        code_version=CODE_VERSION,
        description=(
            "One page over all data families: a calendar of the days each covers, holes and what "
            "filled them, repairs, outliers and the spreads between venues, as pictures and "
            "tables.\n\n"
            "**Units:** rows, hours, and basis points for spreads. **Source:** the raw families "
            "and datasets of the warehouse, over the window of the run; what was never ingested "
            "is not on it.\n\n"
            "**What is at stake:** whom to trust. No backtest reads it, but a person who releases "
            "a data delivery does."
        ),
    )
    def data_audit(
        context: dg.AssetExecutionContext,  # noqa: ARG001
        options: RunOptions,
        warehouse: dg.ResourceParam[ParquetIOManager],
    ) -> dg.MaterializeResult[None]:
        """Write the page from what the warehouse holds."""
        with coded_failures():
            require_open(options.settings, "report/data_audit")
            evidence = evidence_of(_ingested(options, warehouse), options.configs.venues)
            html = audit_html(evidence, f"{options.data.name}: {options.window} UTC")
            page = write_page(options.reports / "data_audit.html", html)
        return dg.MaterializeResult(metadata={**figures.page(page), **_data_facts(evidence)})

    return data_audit


def _ingested(options: RunOptions, warehouse: ParquetIOManager) -> Iterator[Examined]:
    """Every family that has landed or was refused, with what became of its dataset."""
    for name, config in options.configs.datasets.items():
        raw, outcome = (_found(warehouse, key(name)) for key in (raw_key, dataset_key))
        if raw is None or outcome is None:
            continue
        window = None if isinstance(raw, DataError) else options.window
        if not isinstance(outcome, DataError):
            window = outcome.window
        yield Examined(config, raw, window, outcome)


def _found(warehouse: ParquetIOManager, key: dg.AssetKey) -> Any:
    """A value or the refusal that stands in its place; None when there is neither."""
    try:
        return warehouse.load(key)
    except DataError as refusal:
        return refusal
    except BasisError:
        return None


def _data_facts(evidence: Sequence[Evidence]) -> dict[str, Any]:
    rows = pd.DataFrame(
        [(e.line.family, e.verdict, e.line.rows, e.line.holes, e.line.message) for e in evidence],
        columns=["family", "verdict", "rows", "holes", "what_to_know"],
    )
    return {
        "families": table(rows, limit=200),
        **{f"families_{word.lower()}": n for word, n in counted(evidence).items()},
        "rows": sum(e.line.rows for e in evidence),
        "holes": sum(e.line.holes or 0 for e in evidence),
        "repaired_rows": sum(int(e.repairs["rows"].sum()) for e in evidence),
        "outliers": sum(e.line.outliers for e in evidence),
        "concerns": sum(len(e.concerns) for e in evidence),
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
            page = write_page(options.reports / "gates.html", gates_html(found))
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
