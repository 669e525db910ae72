"""Dask workers give the bytes that threads give, also when they are killed."""

import os
import signal
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

from basis_pipeline.backtests import sweep as sweeping
from basis_pipeline.backtests.cluster import on_client, on_cluster, on_workers
from basis_pipeline.backtests.fan_out import Executor, Pieces, in_threads
from basis_pipeline.backtests.scenarios import Study
from basis_pipeline.backtests.sweep import Progress, sweep
from basis_pipeline.errors import ComponentError
from tests.backtests.studies import made_set, span, study_over
from tests.backtests.trees import Tree

POINTS = 1200  # two whole batches and some


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use batches that are finished soon."""
    monkeypatch.setattr(sweeping, "BATCH", 512)


def leveraged(sample: Tree) -> Study:
    """Return a study with enough points for many pieces."""
    keys = {"staking.target_ltv": span(0.3, 0.7), "hedge.ratio": span(0.9, 1.0)}
    sampling = {"method": "sobol", "points": POINTS, "seed": 4}
    return study_over(sample, "usdt_market_neutral", made_set(sampling=sampling, keys=keys))


def swept(study: Study, out: Path, run: Executor) -> dict[str, bytes]:
    """Run a sweep and return its files."""
    assert sweep(study, out, run=run).done == POINTS
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*.*"))}


def test_two_workers_with_one_killed_give_the_bytes_of_one_thread(
    sample: Tree, tmp_path: Path
) -> None:
    """SIGKILL in the middle: another worker repeats its piece, and nothing else is lost."""
    killed: list[int] = []

    def kill(now: Progress) -> None:
        if now.done and not killed:
            killed.append(next(iter(Client.current().run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    with on_workers(2) as run:
        sweep(leveraged(sample), tmp_path / "workers", run=run, report=kill)
        living = set(Client.current().run(os.getpid).values())
    assert killed
    assert killed[0] not in living
    kept = {
        str(p.relative_to(tmp_path / "workers")): p.read_bytes()
        for p in sorted((tmp_path / "workers").rglob("*.*"))
    }
    assert kept == swept(leveraged(sample), tmp_path / "thread", in_threads(1))
    assert len(kept) == 1 + 3


def test_a_cluster_at_an_address_keeps_running_after_a_sweep(sample: Tree, tmp_path: Path) -> None:
    """No part of a sweep stays on the workers, and the next one gives the same bytes."""
    with LocalCluster(1, processes=False, threads_per_worker=2, dashboard_address=None) as cluster:
        with on_cluster(cluster.scheduler_address) as run:
            first = swept(leveraged(sample), tmp_path / "first", run)
        (worker,) = cluster.workers.values()
        assert not [name for name in worker.plugins if name.startswith("study-")]
        with on_cluster(cluster.scheduler_address) as run:
            assert swept(leveraged(sample), tmp_path / "second", run) == first


def test_workers_that_keep_dying_end_the_sweep_and_cost_no_finished_batch(
    sample: Tree, tmp_path: Path
) -> None:
    """A piece that kills its workers ends the sweep with a code; a later call continues it."""

    def kill(_: Progress) -> None:
        if list(tmp_path.rglob("points-*.parquet")):  # a batch is finished, another is not
            for pid in Client.current().run(os.getpid).values():
                os.kill(pid, signal.SIGKILL)

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        pytest.raises(ComponentError, match="COMPONENT-002"),
    ):
        sweep(leveraged(sample), tmp_path, run=on_client(client), report=kill)
    assert 0 < sweep(leveraged(sample), tmp_path).resumed < POINTS


def test_pieces_cover_every_point_once_and_follow_their_cost() -> None:
    """No piece crosses the end of a span; slow points come in small pieces."""
    pieces, found, sizes = Pieces([(0, 999), (2000, 2099)]), [], []
    while (piece := pieces.next()) is not None:
        found += range(piece[0], piece[1] + 1)
        sizes.append(piece[1] - piece[0] + 1)
        pieces.resize(sizes[-1], 0.01 * sizes[-1])
    assert found == [*range(1000), *range(2000, 2100)]
    assert sizes == [64, *[100] * 9, 36, 100]
