"""The graph: raw → dataset → panel ← mode; run → record → reports; studies; fetch; accounts."""

from collections.abc import Sequence

import dagster as dg

from basis_pipeline.config import Configs
from basis_pipeline.orchestration.assets.account import account_assets
from basis_pipeline.orchestration.assets.audit import data_audit_asset, gates_asset
from basis_pipeline.orchestration.assets.backtest import run_asset
from basis_pipeline.orchestration.assets.config import catalogue, mode_asset
from basis_pipeline.orchestration.assets.control import control_asset
from basis_pipeline.orchestration.assets.dataset import dataset_assets
from basis_pipeline.orchestration.assets.fetch import fetch_assets
from basis_pipeline.orchestration.assets.health import health_asset
from basis_pipeline.orchestration.assets.market import panel_asset
from basis_pipeline.orchestration.assets.platform import results_store
from basis_pipeline.orchestration.assets.raw import raw_assets
from basis_pipeline.orchestration.assets.report import report_assets
from basis_pipeline.orchestration.assets.requests import requests
from basis_pipeline.orchestration.assets.results import record_asset
from basis_pipeline.orchestration.assets.studies import study_assets


def all_assets(
    configs: Configs, partitions: dg.StaticPartitionsDefinition, accounts: Sequence[str]
) -> list[dg.AssetsDefinition]:
    """Return every asset, partitioned by mode, by mode and scenario set, or by account."""
    upstream = [mode_asset(partitions), panel_asset(configs, partitions), run_asset(partitions)]
    upstream_checks = [check for asset in upstream for check in asset.check_specs]
    datasets = dataset_assets(configs)
    data_checks = list(datasets.check_specs)
    mode_assets = [*upstream, record_asset(partitions, upstream_checks, data_checks)]
    mode_checks = [check for asset in mode_assets for check in asset.check_specs]
    assets = [
        catalogue,
        results_store,
        control_asset(),
        requests,
        raw_assets(configs),
        datasets,
        *mode_assets,
        *report_assets(partitions, mode_checks, data_checks),
        *study_assets(partitions),
        data_audit_asset(configs),
        health_asset(configs),
        *fetch_assets(configs),
        *account_assets(configs, accounts),
    ]
    return [*assets, gates_asset([check for asset in assets for check in asset.check_specs])]
