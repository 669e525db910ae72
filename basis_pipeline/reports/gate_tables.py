"""Tables of the gates page: open gates with headroom and trend, waivers, limits of control."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from basis_pipeline.config.control import ControlLimits, Limit
from basis_pipeline.reports.banners import in_order, with_status
from basis_pipeline.reports.table import Cells, Table, Term
from basis_pipeline.results.definitions import DASH
from basis_pipeline.verdict import WAIVED_STATUS, Status, Verdict, amount

History = Mapping[str, Sequence[Verdict]]  # gate → evaluations, the latest first
NIGHTS = 30
OPEN = (Status.FAIL, Status.WAIVED, Status.WARN)
SIGNS = {Status.PASS: "✓", Status.NOT_APPLICABLE: "✓", Status.WARN: "!", Status.FAIL: "✕"}
# Limit of emergency control → the gate that measures the same figure.
WATCHED = {
    Limit.DRAWDOWN: "drawdown_limit",
    Limit.HEALTH_FACTOR: "health_factor_floor",
    Limit.MARGIN_RATIO: "margin_ratio_floor",
    Limit.DELTA: "delta_band",
}


def gate_tables(
    verdicts: Sequence[Verdict], history: History, control: ControlLimits | None
) -> list[Table]:
    """Return the tables that have rows."""
    made = [open_table(verdicts, history), waiver_table(verdicts)]
    if control is not None:
        made.append(control_table(verdicts, control))
    return [table for table in made if table.rows]


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """List the gates of a run or a study: figure, limit, headroom, and the sentence."""
    rows = [
        (verdict.check, verdict.status.value, *_figures(verdict), verdict.message)
        for verdict in in_order(verdicts)
    ]
    titles = ("gate", "verdict", ">measured", ">limit", ">headroom", "~result")
    return Table(titles, rows, "Gate verdicts")


def open_table(verdicts: Sequence[Verdict], history: History) -> Table:
    """List the gates that failed, warn or are waived: figure, limit, since when, last nights."""
    rows: list[Cells] = []
    for verdict in in_order(with_status(verdicts, *OPEN)):
        past = history.get(verdict.name, ())
        figures = _figures(verdict)
        rows.append(
            (verdict.name, verdict.status.value, *figures, since(verdict, past), nights(past))
        )
    trend = Term(
        f"last {NIGHTS} nights",
        "The last evaluation of each day, the oldest first: ✓ passed, ! warned, ✕ failed, · was "
        "not evaluated.",
    )
    titles = ("gate", "verdict", ">measured", ">limit", ">headroom", "since, UTC", trend)
    return Table(titles, rows, "Open gates")


def _figures(verdict: Verdict) -> tuple[str, str, str]:
    """Return measured value, limit and headroom of a verdict, below zero beyond the limit."""
    facts = measured(verdict)
    margin = f"−{facts['beyond by']}" if "beyond by" in facts else facts.get("headroom", "")
    return facts.get("measured", ""), facts.get("limit", ""), margin


def waiver_table(verdicts: Sequence[Verdict]) -> Table:
    """List the waived gates: status, person, reason, end of the waiver."""
    names = (WAIVED_STATUS, "waived_by", "reason", "until")
    rows = [
        (verdict.name, *(str(verdict.evidence.get(name, "")) for name in names))
        for verdict in verdicts
        if verdict.status is Status.WAIVED
    ]
    return Table(("gate", "verdict", "by", "~reason", "until"), rows, "Waivers")


def control_table(verdicts: Sequence[Verdict], control: ControlLimits) -> Table:
    """List the limits of emergency control, each with the mode nearest to it."""
    rows: list[Cells] = []
    for mode in ("", *control.modes):
        limits = control.overall if not mode else control.modes[mode]
        for limit, bounds in limits.items():
            if bounds is None:
                continue
            alert, halt = (
                DASH
                if bound is None
                else f"{'≤' if limit.is_floor else '≥'} {_written(limit, bound)}"
                for bound in (bounds.alert, bounds.halt)
            )
            nearest = _nearest(verdicts, limit, mode, bounds.alert)
            rows.append((limit.value, mode or "all", alert, halt, *nearest))
    margin = Term(">headroom", "From the worst figure to the alert; negative beyond it.")
    titles = ("limit", "modes", ">alert", ">halt", ">worst of the gates", margin, "at mode")
    return Table(titles, rows, "Limits of emergency control")


def _written(limit: Limit, value: float) -> str:
    return amount(value, "share" if limit.value.endswith("fraction") else "")


def _nearest(
    verdicts: Sequence[Verdict], limit: Limit, mode: str, alert: float | None
) -> tuple[str, str, str]:
    """Return the worst gate figure for a limit, its headroom and its mode."""
    found = [
        (verdict.measured, verdict.mode)
        for verdict in verdicts
        if verdict.check == WATCHED.get(limit)
        and verdict.measured is not None
        and mode in ("", verdict.mode)
        and not verdict.scenario_set
    ]
    if not found:
        return (DASH, DASH, "")
    value, own = (min if limit.is_floor else max)(found)
    margin = DASH
    if alert is not None:
        room = value - alert if limit.is_floor else alert - value
        margin = _written(limit, room).replace("-", "−")
    return (_written(limit, value), margin, own)


def since(verdict: Verdict, past: Sequence[Verdict]) -> str:
    """Return since when a gate has had its status, as far as its evaluations go back."""
    status = verdict.evidence.get(WAIVED_STATUS, verdict.status)
    begin = verdict.evaluated_at
    for evaluated in past:
        if evaluated.status != status:
            break
        begin = evaluated.evaluated_at
    else:
        return f"{begin:%Y-%m-%d %H:%M} or earlier" if past and begin else _at(verdict)
    return f"{begin:%Y-%m-%d %H:%M}" if begin else ""


def _at(verdict: Verdict) -> str:
    return f"{verdict.evaluated_at:%Y-%m-%d %H:%M}" if verdict.evaluated_at else ""


def nights(past: Sequence[Verdict]) -> str:
    """Return a sign for the last evaluation of each of the last days, the oldest first."""
    days: dict[str, str] = {}
    for evaluated in past:
        if evaluated.evaluated_at:
            sign = SIGNS.get(evaluated.status, "·")
            days.setdefault(f"{evaluated.evaluated_at:%Y-%m-%d}", sign)
    if not days:
        return DASH
    return "".join(days.get(day, "·") for day in _days(past)).lstrip("·")


def _days(past: Sequence[Verdict]) -> Iterator[str]:
    last = next(one.evaluated_at for one in past if one.evaluated_at)
    for back in range(NIGHTS - 1, -1, -1):
        yield f"{last - timedelta(days=back):%Y-%m-%d}"


def measured(verdict: Verdict) -> dict[str, str]:
    """Return figure and limit of a verdict with unit and direction, and their difference."""
    facts = {"measured": verdict.measured_text, "limit": verdict.limit_text}
    if verdict.measured is not None and verdict.limit is not None:
        within = verdict.passed
        name = "headroom" if within else "beyond by"
        facts[name] = amount(abs(verdict.measured - verdict.limit), verdict.unit)
        if verdict.measured != verdict.limit:
            is_floor = (verdict.measured > verdict.limit) == within
            facts["limit"] = f"{'≥' if is_floor else '≤'} {facts['limit']}"
    return {name: text for name, text in facts.items() if text}
