"""`config/catalogue` and `config/mode[mode]`: the configuration of a run, sliced and hashed."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from basis_pipeline.config import ModeSlice
from basis_pipeline.config.loading import canonical_json
from basis_pipeline.errors import ConfigError
from basis_pipeline.operations import environment
from basis_pipeline.operations.environment import environment_checks, files_check
from basis_pipeline.orchestration.checks import check_result, check_results, check_spec
from basis_pipeline.orchestration.failures import as_failure, coded_failures
from basis_pipeline.orchestration.metadata import version_of
from basis_pipeline.orchestration.partitions import mode_of
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.settings import Settings
from basis_pipeline.verdict import judge

CATALOGUE = dg.AssetKey(["config", "catalogue"])
MODE = dg.AssetKey(["config", "mode"])
RULES = "rules"
PHASE = 1
CODE_VERSION = "1"
OWNERS = ["team:strategy"]


@dg.asset(
    key=CATALOGUE,
    check_specs=[
        check_spec(CATALOGUE, name, severity, description, environment.PHASE)
        for name, (severity, description) in environment.CHECKS.items()
    ],
    group_name="config",
    kinds={"yaml"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    description=(
        "Every file of the configuration directory, in strict models that reject unknown keys. The "
        "data version changes with every file. Its checks test the environment: the settings and "
        "the directories they name.\n\n"
        "**Units:** stated in each file. **Source:** the YAML files, read again when one has "
        "changed. **What is at stake:** everything downstream: without strict models a misspelt "
        "key would silently have no effect."
    ),
)
def catalogue(
    context: dg.AssetExecutionContext, options: RunOptions
) -> Iterator[dg.MaterializeResult[None]]:
    """Read the configuration files, list what they hold, and check the environment."""
    with coded_failures():
        configs = options.configs
    groups = (configs.modes, configs.venues, configs.share_classes, configs.datasets)
    documents = [canonical_json(model) for group in groups for model in group.values()]
    yield dg.MaterializeResult(
        data_version=version_of(documents),
        metadata={
            "modes": ", ".join(configs.modes),
            "datasets": ", ".join(configs.datasets),
            "broken": ", ".join(configs.broken) or "none",
        },
        check_results=check_results(
            CATALOGUE,
            [files_check(configs), *environment_checks(_settings(options))],
            context.selected_asset_check_keys,
        ),
    )


def _settings(options: RunOptions) -> Settings | ConfigError:
    try:
        return options.settings
    except ConfigError as error:
        return error


def mode_asset(partitions: dg.StaticPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset of the modes' slices, partitioned by mode."""
    rule = "the rules between the mode's fields, its venues and its share class hold"

    @dg.asset(
        key=MODE,
        deps=[CATALOGUE],
        partitions_def=partitions,
        check_specs=[check_spec(MODE, RULES, "ERROR", rule, PHASE, partitions, blocking=True)],
        group_name="config",
        kinds={"json"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        io_manager_key="warehouse",
        description=(
            "The part of the configuration that one mode depends on: the mode with its overrides, "
            "its share class, venues and datasets, as canonical JSON. Its sha256 is part of every "
            "run's identity; a file that the mode does not use cannot change it.\n\n"
            "**Units:** weights, ratios and bands as shares, fees in basis points. **Source:** the "
            "configuration directory, with the overrides of the run. **What is at stake:** which "
            "strategy is run. Weights that contradict each other break a rule and stop the mode."
        ),
    )
    def mode(
        context: dg.AssetExecutionContext, options: RunOptions
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[ModeSlice]]:
        """Slice one mode and check its rules."""
        try:
            mode_slice = options.slice(mode_of(context))
        except ConfigError as error:
            yield _rules(False, f"{error.code}: {error.what}", error.fault)
            raise as_failure(error) from error
        yield dg.MaterializeResult(
            value=mode_slice,
            data_version=dg.DataVersion(mode_slice.config_hash),
            metadata=_facts(mode_slice, options),
            check_results=[_rules(True, rule)],
        )

    return mode


def _rules(passed: bool, message: str, cause: str = "") -> dg.AssetCheckResult:
    return check_result(MODE, judge(RULES, "ERROR", passed, message, cause=cause, phase=PHASE))


def _facts(mode_slice: ModeSlice, options: RunOptions) -> dict[str, Any]:
    return {
        "share_class": mode_slice.share_class.share_class,
        "venues": ", ".join(mode_slice.venues),
        "datasets": ", ".join(mode_slice.datasets),
        "overrides": ", ".join(options.overrides) or "none",
        "config_hash": mode_slice.config_hash,
        "slice": dg.MetadataValue.json(mode_slice.mode.model_dump(mode="json")),
    }
