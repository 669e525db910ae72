"""Backtest requests: accepted once, in order, served once each, or rejected with a reason."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from basis_pipeline.commands.app import app
from basis_pipeline.config.current import current_configs
from basis_pipeline.errors import BacktestError, BasisError, ConfigError, correlation
from basis_pipeline.operations.audit_log import Event, read_events
from basis_pipeline.operations.audit_log.files import DIRECTORY
from basis_pipeline.operations.control import halt, resume
from basis_pipeline.operations.requests import BacktestRequest, Status, submit
from basis_pipeline.operations.requests.inbox import empty_inbox, inbox_of
from basis_pipeline.operations.requests.queue import (
    ATTEMPTS,
    ahead_of,
    begin,
    cancel,
    counts,
    finish,
    page,
    request_named,
    requests_of,
    waiting,
)
from basis_pipeline.operations.requests.serving import serve
from basis_pipeline.results.store import read_run, read_summary, read_verdicts
from basis_pipeline.settings import Settings
from tests import shell

PROCESSES, EACH = 2, 20
LENDING = {"mode": "pure_lending"}


def asked(request_id: str, **fields: object) -> BacktestRequest:
    """A request of pure_lending."""
    return BacktestRequest.model_validate({"request_id": request_id, **LENDING, **fields})


def test_a_request_is_accepted_once_and_numbered_in_order(settings: Settings) -> None:
    """The same again is the same one; the number is that of acceptance."""
    first, second = submit(settings, asked("b")), submit(settings, asked("a"))
    assert (first.sequence, second.sequence) == (1, 2)
    assert submit(settings, asked("b")) == first
    assert [served.request.request_id for served in requests_of(settings)] == ["b", "a"]
    assert waiting(settings, 1) == [1]


def test_an_id_cannot_be_used_for_something_else(settings: Settings) -> None:
    """BT-006 with what the id stands for; the first request is as it was."""
    submit(settings, asked("a"))
    with pytest.raises(BacktestError) as rejected:
        submit(settings, asked("a", capital=7000.0))
    assert rejected.value.code == "BT-006"
    assert "pure_lending" in rejected.value.available
    assert [served.request.capital for served in requests_of(settings)] == [None]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"mode": "pure_landing"}, "CONFIG-007"),
        ({"overrides": {"costs.enabeld": False}}, "CONFIG-010"),
        ({"start": "2024-02-10", "end": "2024-02-01"}, "CONFIG-011"),
    ],
)
def test_what_cannot_be_run_is_not_accepted(
    settings: Settings, fields: dict[str, object], code: str
) -> None:
    """A request is validated before it is accepted."""
    with pytest.raises(ConfigError) as rejected:
        submit(settings, asked("a", **fields))
    assert rejected.value.code == code
    assert requests_of(settings) == []


def test_requests_are_served_in_order_with_one_result_each(settings: Settings) -> None:
    """Overrides, window and capital reach the run; its identity and gates stand in the row."""
    for request in (
        asked("plain"),
        asked("free", overrides={"costs.enabled": False}, capital=5000.0, end="2024-02-01"),
        asked("again"),
    ):
        submit(settings, request)
    served = serve(settings, current_configs(), waiting(settings, 10), "run-1")
    assert [entry.status for entry in served] == [Status.DONE] * 3
    assert served[0].run_id == served[2].run_id != served[1].run_id
    result = read_run(settings.results_dir / "runs" / served[1].run_id)
    assert result.identity.capital == 5000.0
    assert result.config["mode"]["costs"]["enabled"] is False
    assert waiting(settings, 10) == []
    order = [e.fields["request_id"] for e in _events(settings, "request_served")]
    assert order == ["plain", "free", "again"]
    again = serve(settings, current_configs(), [1, 2, 3], "run-2")
    assert again == served  # a run that takes over does nothing twice


def test_a_served_request_is_shown_with_its_verdicts(settings: Settings, tmp_path: Path) -> None:
    """Its page has the verdicts of its gates."""
    submit(settings, asked("a"))
    (served,) = serve(settings, current_configs(), [1], "run-1")
    verdicts = read_verdicts(settings.results_dir / "runs" / served.run_id)
    assert {verdict.mode for verdict in verdicts} >= {"pure_lending"}
    assert {verdict.run_id for verdict in verdicts} == {"run-1"}
    words = ("report", "tear-sheet", served.run_id, "--out", tmp_path / "page.html")
    done = shell.run("basis_pipeline", *words, "--results-dir", settings.results_dir)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "NOT JUDGED" not in page
    assert "ALL GATES PASS" in page
    places = ("--results-dir", settings.results_dir)
    shown = shell.call("request", "a", *places).stdout.splitlines()
    assert shown[-1].startswith("Gates: 0 FAIL")
    summary = read_summary(settings.results_dir / "runs" / served.run_id)
    lending = summary["benchmarks"]["lending"]["apy"]
    assert f"{100.0 * lending:.2f} %" in shell.call("results", "list", *places).stdout


def test_a_killed_run_s_request_is_served_by_the_next_and_not_for_ever(settings: Settings) -> None:
    """Begun and never ended: it waits still; a request that kills each run has failed."""
    submit(settings, asked("deadly"))
    submit(settings, asked("harmless"))
    for number in range(ATTEMPTS):
        assert waiting(settings, 10) == [1, 2]
        assert begin(settings, 1, f"run-{number}")
    assert not begin(settings, 1, "run-last")
    deadly, _ = requests_of(settings)
    assert deadly.status is Status.FAILED
    assert "runs that served it" in deadly.message
    assert waiting(settings, 10) == [2]


def test_what_became_of_a_request_is_said_once(settings: Settings) -> None:
    """Of two runs that serve the same request, the outcome of the first is kept."""
    submit(settings, asked("a"))
    begin(settings, 1, "run-1")
    begin(settings, 1, "run-2")
    assert finish(settings, 1, Status.DONE, run_id="x")
    assert not finish(settings, 1, Status.REJECTED, code="DATA-001")
    assert requests_of(settings)[0].run_id == "x"


def test_a_queued_request_can_be_canceled_and_no_other(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is never served; one that is running or over stays as it is; an unknown one is None."""
    for request_id in ("a", "b", "c"):
        submit(settings, asked(request_id))
    begin(settings, 1, "run-1")
    finish(settings, 3, Status.DONE, run_id="x")
    states = {name: cancel(settings, name).status for name in ("a", "b", "c")}  # type: ignore[union-attr]
    assert states == {"a": Status.RUNNING, "b": Status.CANCELED, "c": Status.DONE}
    assert cancel(settings, "d") is None
    assert waiting(settings, 10) == [1]
    assert not begin(settings, 2, "run-2")
    assert request_named(settings, "b") == cancel(settings, "b")
    app(["request", "b", "--results-dir", str(settings.results_dir)], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "  mode            pure_lending" in shown
    assert "{" not in shown


def test_a_request_reads_the_data_of_the_run_that_serves_it(
    settings: Settings, tmp_path: Path
) -> None:
    """Not those of the environment; the audit event names the directory that was read."""
    submit(settings, asked("a"))
    empty = tmp_path / "no data"
    empty.mkdir()
    elsewhere = settings.model_copy(update={"data_dir": empty})
    (served,) = serve(elsewhere, current_configs(), [1], "run-1")
    assert served.status is Status.REJECTED
    assert served.code.startswith("DATA-")
    (event,) = _events(settings, "request_served")
    assert event.fields["data_dir"] == str(empty)


def _submit_many(
    settings: Settings, process: int, answers: "multiprocessing.Queue[object]"
) -> None:
    configs, result = current_configs(), []
    for number in range(EACH):
        shared = number % 5 == 0  # asked for by everybody
        request_id = f"shared-{number}" if shared else f"own-{process}-{number}"
        try:
            result.append((request_id, submit(settings, asked(request_id), configs).sequence))
        except BasisError as error:
            result.append((request_id, error.code))
    answers.put(result)


def test_many_at_once_are_numbered_without_holes_or_doubles(settings: Settings) -> None:
    """Two processes, 20 each, a fifth of them the same: one number an id, or a clear refusal."""
    submit(settings, asked("first"))  # the table is there
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[object] = context.Queue()
    workers = [
        context.Process(target=_submit_many, args=(settings, process, answers))
        for process in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    result = [pair for _ in workers for pair in answers.get(timeout=300)]  # type: ignore[attr-defined]
    for worker in workers:
        worker.join()
    assert len(result) == PROCESSES * EACH
    numbered: dict[str, set[object]] = {}
    for request_id, sequence in result:
        numbered.setdefault(request_id, set()).add(sequence)
    assert all(len(sequences) == 1 for sequences in numbered.values())
    kept = {served.request.request_id: served.sequence for served in requests_of(settings)}
    assert {request_id: {kept[request_id]} for request_id in numbered} == numbered
    assert sorted(kept.values()) == list(range(1, len(kept) + 1))
    for process in range(PROCESSES):  # what one process asks for stays in its order
        own = [s for request_id, s in result if request_id.startswith(f"own-{process}-")]
        assert own == sorted(own)


def _events(settings: Settings, kind: str) -> list[Event]:
    return list(read_events(settings.results_dir / DIRECTORY, types=[kind]))


def looked(settings: Settings, seen: dict[str, list[int]] | None = None) -> dict[str, list[int]]:
    """One look at the inbox, at a time when everything is old; what is left."""
    return empty_inbox(settings, current_configs(), seen or {}, 30.0, 4e9, 100)


def files_of(settings: Settings, directory: str) -> list[str]:
    """The names in a directory of the inbox, in order."""
    return sorted(path.name for path in (inbox_of(settings) / directory).iterdir())


def drop(settings: Settings, name: str, content: str) -> Path:
    """Put a file into the inbox."""
    inbox = inbox_of(settings)
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / name).write_text(content)
    return inbox / name


def test_settled_files_are_queued_and_moved(settings: Settings) -> None:
    """JSON and YAML, the oldest first; other files are ignored."""
    drop(settings, "z.json", '{"request_id": "one", "mode": "pure_lending"}')
    drop(settings, "a.yaml", "request_id: two\nmode: btc_basis\nstart: 2024-01-10\n")
    drop(settings, "notes.txt", "nothing")
    left = looked(settings)
    assert sorted(left) == ["a.yaml", "z.json"]
    assert looked(settings, left) == {}
    assert [s.request.request_id for s in requests_of(settings)] == ["one", "two"]
    assert requests_of(settings)[1].request.start == "2024-01-10"
    assert files_of(settings, "accepted") == ["a.yaml", "z.json"]
    assert (inbox_of(settings) / "notes.txt").exists()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.json", '{"request_id": "x", "mode": ', "CONFIG-004"),
        ("a.yaml", "request_id: x\nmode: pure_lending\nmode: btc_basis\n", "CONFIG-004"),
        ("a.json", '{"request_id": "x", "mode": "pure_lending", "capitol": 1}', "CONFIG-005"),
        ("a.json", '{"request_id": "../x", "mode": "pure_lending"}', "CONFIG-005"),
        ("a.json", '{"request_id": "x", "mode": "none"}', "CONFIG-007"),
        ("a.json", "[1, 2]", "CONFIG-005"),
        ("a.json", '{"request_id": "taken", "mode": "btc_basis"}', "BT-006"),
    ],
)
def test_a_refused_file_is_moved_aside_with_its_error(
    settings: Settings, name: str, content: str, code: str
) -> None:
    """Its error is written as JSON with a code; the queue is unchanged."""
    submit(settings, asked("taken"))
    drop(settings, name, content)
    assert looked(settings, looked(settings)) == {}
    rejected = inbox_of(settings) / "rejected"
    assert (rejected / name).read_text() == content
    result = json.loads((rejected / f"{name}.error.json").read_text())
    assert result["code"] == code
    assert result["what"]
    assert "stack_trace" not in result
    assert len(requests_of(settings)) == 1
    (event,) = _events(settings, "request_rejected")
    assert event.fields["code"] == code


def unusual(inbox: Path) -> dict[str, str]:
    """Put what should stop nobody into the inbox: name and code of each."""
    inbox.mkdir(parents=True)
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
    )
    contents = {
        "deep.json": "[" * 8000 + "]" * 8000,
        "bomb.yaml": bomb,
        "large.json": '{"request_id": "' + "x" * 100_000 + '"}',
        "octal.yaml": "request_id: o\nmode: pure_lending\ncapital: on\n",
        "n" * 245 + ".json": "{",
    }
    for name, content in contents.items():
        (inbox / name).write_text(content)
    (inbox / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (inbox / "loop.json").symlink_to("loop.json")
    (inbox / "directory.json").mkdir()
    (inbox / "rejected").write_text("a file")
    (inbox / "accepted").symlink_to("accepted")
    codes = dict.fromkeys(["deep.json", "bomb.yaml", "large.json", [*contents][-1]], "CONFIG-004")
    codes["octal.yaml"] = "CONFIG-005"
    codes["rejected.json"] = "CONFIG-005"
    others = ("bytes.json", "loop.json", "directory.json", "accepted.json")
    return codes | dict.fromkeys(others, "CONFIG-013")


def test_whatever_lies_in_the_inbox_is_rejected_by_itself(settings: Settings) -> None:
    """Each with its code and its report; the good request among them is accepted."""
    codes = unusual(inbox_of(settings))
    drop(settings, "good.json", '{"request_id": "good", "mode": "pure_lending"}')
    assert looked(settings, looked(settings)) == {}
    rejected = {e.fields["file"]: e.fields["code"] for e in _events(settings, "request_rejected")}
    assert rejected == codes
    assert files_of(settings, "accepted") == ["good.json"]
    assert [served.request.request_id for served in requests_of(settings)] == ["good"]
    assert files_of(settings, "") == ["accepted", "rejected"]
    assert len([n for n in files_of(settings, "rejected") if n.endswith(".error.json")]) == len(
        codes
    )


def test_a_tick_looks_into_so_many_files(settings: Settings) -> None:
    """The oldest first; the rest waits for the next ticks."""
    for number in range(5):
        content = f'{{"request_id": "r{number}", "mode": "btc_basis"}}'
        os.utime(drop(settings, f"{number}.json", content), (number, number))
    seen: dict[str, list[int]] = {}
    for _ in range(6):
        seen = empty_inbox(settings, current_configs(), seen, 30.0, 4e9, 2)
        assert len(seen) <= 2
    ids = [served.request.request_id for served in requests_of(settings)]
    assert ids == [f"r{number}" for number in range(5)]


def test_a_half_written_file_is_left(settings: Settings) -> None:
    """It changes from look to look, or was written just now."""
    path = drop(settings, "a.json", '{"request_id": "x", ')
    first = looked(settings)
    path.write_text('{"request_id": "x", "mode": "pure_lending"}')
    second = looked(settings, first)
    now = path.stat().st_mtime + 5
    young = empty_inbox(settings, current_configs(), second, 30.0, now, 100)
    assert list(second) == list(young) == ["a.json"]
    assert looked(settings, young) == {}
    assert files_of(settings, "accepted") == ["a.json"]


def test_a_file_dropped_again_is_the_same_request(settings: Settings) -> None:
    """Accepted again without a second row; both files are kept."""
    for _ in range(2):
        drop(settings, "a.json", '{"request_id": "x", "mode": "pure_lending"}')
        looked(settings, looked(settings))
    assert len(requests_of(settings)) == 1
    assert len(files_of(settings, "accepted")) == 2


def test_files_wait_while_work_is_halted(settings: Settings) -> None:
    """A halt rejects no request."""
    drop(settings, "a.json", '{"request_id": "x", "mode": "pure_lending"}')
    seen = looked(settings)
    halt(settings, reason="looks wrong", by="ann")
    assert looked(settings, seen) == seen
    resume(settings, reason="it is right", by="ann")
    assert looked(settings, seen) == {}
    assert files_of(settings, "accepted") == ["a.json"]


def test_pages_and_counts_of_the_queue(settings: Settings) -> None:
    """The latest first, a page after a page; counts by status; the calls that asked."""
    assert page(settings, limit=5) == []
    assert set(counts(settings).values()) == {0}
    with correlation("call-1"):
        for number in range(5):
            submit(settings, asked(f"r{number}"))
    cancel(settings, "r1")
    latest = page(settings, limit=2)
    assert [served.sequence for served in latest] == [5, 4]
    assert [served.sequence for served in page(settings, before=4, limit=9)] == [3, 2, 1]
    assert [s.sequence for s in page(settings, statuses=[Status.CANCELED], limit=9)] == [2]
    assert page(settings, mode="btc_basis", limit=9) == []
    assert page(settings, since=latest[0].submitted_at, limit=9) == latest[:1]
    assert (counts(settings)[Status.QUEUED], counts(settings)[Status.CANCELED]) == (4, 1)
    assert ahead_of(settings, 5) == 3
    assert {served.correlation_id for served in latest} == {"call-1"}
