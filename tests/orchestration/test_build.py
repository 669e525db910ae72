"""The code location: complete, documented, without loose ends."""

import re
import warnings

import dagster as dg
import pytest
from dagster_shared.utils.warnings import PreviewWarning

from basis_pipeline.config.current import current_configs
from basis_pipeline.error_codes import PHASES
from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.assets.studies import study_key
from basis_pipeline.orchestration.build import build_defs
from basis_pipeline.orchestration.checks import PHASE, SEVERITY
from basis_pipeline.settings import project_root

REFERENCE = (project_root() / "docs" / "reference.md").read_text(encoding="utf-8")
SELECTIONS = REFERENCE.partition("## Selections")[2].partition("\n## ")[0]
JOBS = {
    *("full_pipeline", "ingest", "datasets", "backtests", "reports"),
    *("stress_tests", "montecarlo_paths", "sweeps", "walk_forwards"),
}


@pytest.fixture(autouse=True)
def configs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Return the committed configuration."""
    monkeypatch.delenv("BASIS_CONFIG_DIR", raising=False)


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    """Return the code location as production loads it."""
    return build_defs()


def test_every_dependency_is_an_asset_of_the_graph(defs: dg.Definitions) -> None:
    """A misspelt dependency would load silently as an asset nobody makes."""

    @dg.asset(deps=[["market", "pannel"]])
    def lost() -> None: ...

    assert dg.Definitions(assets=[lost]).resolve_asset_graph().external_asset_keys
    assert not defs.resolve_asset_graph().external_asset_keys


def test_graph_has_a_raw_and_a_dataset_asset_a_family(defs: dg.Definitions) -> None:
    """The catalogue decides what the graph holds."""
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    for feed in current_configs().datasets:
        assert {f"raw/{feed}", f"dataset/{feed}"} <= keys


def test_data_checks_say_what_they_stop(defs: dg.Definitions) -> None:
    """Dagster calls them non-blocking; their descriptions name the modes that a failure stops."""
    graph = defs.resolve_asset_graph()
    specs = {
        f"{k.asset_key.to_user_string()} {k.name}": graph.get_check_spec(k)
        for k in graph.asset_check_keys
    }
    for check in ("raw/bybit_btcusdt_perp readable", "dataset/bybit_btcusdt_perp coverage"):
        assert "stops btc_basis, but no other" in str(specs[check].description)
    assert "stops nothing" in str(specs["dataset/bybit_btcusdt_perp outliers"].description)


def test_every_asset_says_what_it_is(defs: dg.Definitions) -> None:
    """Group, kind, owner, version; what it is, its units, its source, what breaks without it."""
    for spec in defs.resolve_all_asset_specs():
        description, name = spec.description or "", spec.key.to_user_string()
        assert spec.group_name == spec.key.path[0], name
        assert all((spec.kinds, spec.owners, spec.code_version)), name
        for part in ("**Units:**", "**Source:**", "**What is at stake:**"):
            assert part in description, (name, part)


def test_a_feed_says_which_modes_read_it(defs: dg.Definitions) -> None:
    """The description of a feed names the modes that read it and the feeds it repairs."""
    result = {
        spec.key.to_user_string(): spec.description for spec in defs.resolve_all_asset_specs()
    }
    funding = result["raw/okx_btcusdt_funding"] or ""
    readers = funding.partition("**Read by:**")[2]
    assert "no mode" in readers or "btc_basis" in readers
    bybit = (result["dataset/bybit_btcusdt_perp"] or "").partition("**Read by:**")[2]
    assert "btc_basis" in bybit
    assert "repairs binance_btcusdt_perp" in bybit


def test_tables_have_column_schemas(defs: dg.Definitions) -> None:
    """Datasets, panels and backtests show each column with its type and meaning."""
    for spec in defs.resolve_all_asset_specs():
        name = spec.key.to_user_string()
        if spec.key.path[0] == "dataset" or name in ("market/panel", "backtest/simulation"):
            schema = spec.metadata["dagster/column_schema"]
            assert schema.columns, name
            assert all(column.type and column.description for column in schema.columns), name


@pytest.mark.parametrize("selection", re.findall(r"^\| `(.+?)` \|", SELECTIONS, re.MULTILINE))
def test_documented_selections_find_assets(selection: str, defs: dg.Definitions) -> None:
    """What a person copies from the reference into the UI selects something, and not everything."""
    graph = defs.resolve_asset_graph()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parts of the syntax are a beta in the pinned release
        found = dg.AssetSelection.from_string(selection).resolve(graph)
    assert 0 < len(found) < len(graph.get_all_asset_keys())


def test_every_check_belongs_to_a_phase(defs: dg.Definitions) -> None:
    """The gate command can judge each phase: no check is left out of all of them."""
    graph = defs.resolve_asset_graph()
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        assert spec.metadata[PHASE] in PHASES
        assert spec.metadata[SEVERITY] in ("ERROR", "WARN")
        assert spec.description


def test_modes_are_the_partitions(defs: dg.Definitions) -> None:
    """Each file in configs/modes/ is one partition of every asset of a mode."""
    graph = defs.resolve_asset_graph()
    for name in ("config/mode", "market/panel", "backtest/simulation", "results/record"):
        definition = graph.get(dg.AssetKey(name.split("/"))).partitions_def
        assert definition is not None
        assert definition.get_partition_keys() == sorted(current_configs().modes)


def test_studies_are_partitioned_by_mode_and_set(defs: dg.Definitions) -> None:
    """The pairs a set is meant for; checks as their asset; upstream is the same mode."""
    graph, modes = defs.resolve_asset_graph(), sorted(current_configs().modes)
    sets = {"stress": ["crises", "replays"], "montecarlo": ["bootstrapped"], "sweep": ["{mode}"]}
    for kind, names in sets.items():
        node = graph.get(study_key(kind))
        partitions = node.partitions_def
        assert partitions is not None
        pairs = [f"{mode}|{name.format(mode=mode)}" for mode in modes for name in names]
        assert partitions.get_partition_keys() == pairs
        assert {graph.get_check_spec(check).partitions_def for check in node.check_keys} == {
            partitions
        }
        mapping = graph.get_partition_mapping(node.key, SIMULATION)
        upstream = mapping.get_upstream_mapped_partitions_result_for_partitions(
            partitions.subset_with_partition_keys(pairs[:1]),
            partitions,
            graph.get(SIMULATION).partitions_def,
        )
        assert set(upstream.partitions_subset.get_partition_keys()) == {modes[0]}
    assert (
        graph.get(study_key("walk_forward")).partitions_def == graph.get(SIMULATION).partitions_def
    )


def test_the_leaf_names_of_the_graph_differ(defs: dg.Definitions) -> None:
    """Two nodes of one name cannot be told apart in the UI; a feed is raw and a dataset."""
    keys = defs.resolve_asset_graph().get_all_asset_keys()
    leaves = [key.path[-1] for key in keys if key.path[0] not in ("raw", "dataset")]
    assert len(leaves) == len(set(leaves))


def test_all_jobs_resolve(defs: dg.Definitions) -> None:
    """The main job and the jobs of the layers can be launched by name."""
    assert {job.name for job in defs.resolve_all_job_defs() if job.name in JOBS} == JOBS


def test_checks_by_partition_are_still_a_preview() -> None:
    """The one warning that is filtered exists; when it goes, so does the filter."""
    with pytest.warns(PreviewWarning, match="Specifying a partitions_def"):
        dg.AssetCheckSpec("c", asset="a", partitions_def=dg.StaticPartitionsDefinition(["p"]))


def test_building_the_definitions_warns_of_nothing() -> None:
    """No other preview or deprecation hides behind the filter."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_defs()
