"""Failures of commands and of the Dagster instance; commands are run as a person runs them."""

import os
import socket
from pathlib import Path

import dagster as dg

from basis_pipeline.market.sample import write_sample
from basis_pipeline.orchestration.io_managers import ParquetIOManager
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.reports.print_pdf import page_pdf
from basis_pipeline.settings import load_settings, make_dagster_home
from tests import shell

RATES = dg.AssetKey(["dataset", "aave_usdt_rates"])


def command(*arguments: str) -> str:
    """The code that `basis …` refuses with: one message on stderr, exit 2."""
    environ = {k: v for k, v in os.environ.items() if k != "DAGSTER_HOME"}
    result = shell.run("basis_pipeline", *arguments, env=environ)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    return result.stderr.partition(":")[0]


def sample_in_the_way(place: Path) -> None:
    """A file where the sample's directory should be."""
    (place / "data").write_text("in the way")
    write_sample(place / "data" / "sample", days=60)


def instance_in_the_way(place: Path) -> None:
    """A file where the results directory, and the instance in it, should be."""
    (place / "results").write_text("in the way")
    make_dagster_home(load_settings({}, results_dir=place / "results"), {})


def damaged_value(place: Path) -> None:
    """A dataset kept by the graph and cut short since."""
    kept = place / "warehouse" / "dataset" / "aave_usdt_rates.parquet"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"PAR1 and no more")
    ParquetIOManager(options=RunOptions(results_dir=str(place))).load(RATES)


def no_browser(place: Path) -> None:
    """A print where no Chromium is on the PATH."""
    path = os.environ["PATH"]
    os.environ["PATH"] = str(place)
    try:
        page_pdf("<!doctype html>")
    finally:
        os.environ["PATH"] = path


def port_in_use(place: Path) -> str:
    """A start while another program listens on the port of the web interface."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        words = ("platform", "start", "--web-port", port, "--results-dir", str(place / "results"))
        return command(*words)


PROVOCATIONS = {
    "API-001": lambda _: command("errors", "DATA-099"),
    "API-002": sample_in_the_way,
    "API-003": no_browser,
    "PLATFORM-001": instance_in_the_way,
    "PLATFORM-002": lambda place: command("gates", "--results-dir", str(place / "nothing")),
    "PLATFORM-003": damaged_value,
    "PLATFORM-005": port_in_use,
}
