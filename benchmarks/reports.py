"""All pages of the recorded runs of a results directory, in a process of their own."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from basis_pipeline.reports.comparison import Entry, comparison_html
from basis_pipeline.reports.gates import gates_html
from basis_pipeline.reports.page import Provenance
from basis_pipeline.reports.tear_sheet import tear_sheet_html
from basis_pipeline.results.origin import read_origin
from basis_pipeline.results.store import read_run, read_verdicts
from benchmarks.pipeline import PEAK_UNIT


def main() -> None:
    """Print what the pages take beside reading the runs, and their share of the run's CPU time."""
    directories = sorted((Path(sys.argv[1]) / "runs").glob("[!.]*"))
    # The latest run of each mode, as a run of all modes writes them.
    entries = {(e := Entry(read_run(d), read_verdicts(d))).result.mode: (d, e) for d in directories}
    found, provenance = list(entries.values()), Provenance.now()
    verdicts = [verdict for _, entry in found for verdict in entry.verdicts]
    before = peak()
    sheets = took(lambda: [
        tear_sheet_html(e.result, e.verdicts, provenance, read_origin(d)) and None for d, e in found
    ])  # fmt: skip
    compared = took(lambda: comparison_html([entry for _, entry in found], provenance))
    judged = took(lambda: gates_html(verdicts, provenance))
    total = sheets + compared + judged
    print(
        f"pages of {len(found)} runs: {total:.2f} s CPU ({sheets:.2f} tear sheets, {compared:.2f} "
        f"comparison, {judged:.2f} gates), {total / float(sys.argv[2]):.1%} of the run's, "
        f"{peak() - before:.0f} MB more; target 10 %, 300 MB"
    )


def took(work: Callable[[], object]) -> float:
    """CPU seconds of some work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def peak() -> float:
    """The most memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT / 1e6


if __name__ == "__main__":
    main()
