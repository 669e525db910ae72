"""The defects of a sample: each is listed in the manifest, and the declared repairs handle it."""

from collections.abc import Mapping
from dataclasses import dataclass

from basis_pipeline.market.sample.calendar import Calendar
from basis_pipeline.market.sample.exchanges import MARGIN_FILES
from basis_pipeline.market.sample.protocols import PEG_STARTS_AFTER_HOURS
from basis_pipeline.market.sample.text import SampleFile

GAPPY = ("binance_BTCUSDT_perp", "binance_ETHUSDT_perp", "binance_BTCUSDT_1h")
REPEATED = ("bybit_BTCUSDT_perp", "bybit_ETHUSDT_perp", "bybit_BTCUSDT_spot", "bybit_ETHUSDT_spot")
GAP_DAY = 40
OKX_GAP_DAY = 243
OKX_GAP_DAYS = 3
LATE_ROWS_DAY = 60
LATE_ROWS = 90
MISSING_FUNDING_DAY = 308
UNORDERED_DAY = 180


@dataclass(frozen=True)
class Defect:
    """One defect: its file, kind, description, number of rows and repair."""

    file: str
    kind: str
    what: str
    rows: int
    repair: str


def add_defects(files: Mapping[str, SampleFile], calendar: Calendar) -> list[Defect]:
    """Add the defects of real downloads to the files, in place, and list them.

    `files` is keyed by the first words of a file's name, e.g. `binance_BTCUSDT_perp`.
    """
    gap, okx_gap = calendar.hour(GAP_DAY) + 1, calendar.hour(OKX_GAP_DAY)
    defects = [_price_gap(files[name], gap, 23) for name in GAPPY]
    defects += [_price_gap(files["okx_ETHUSDT_perp"], okx_gap, 24 * OKX_GAP_DAYS)]
    defects += [_funding_gap(files["okx_ETHUSDT_funding"], 3 * calendar.day(MISSING_FUNDING_DAY))]
    defects += [_duplicate_rows(files[name]) for name in REPEATED]
    defects += [_late_timestamps(files["binance_ETHUSDT_funding"], 3 * calendar.day(LATE_ROWS_DAY))]
    defects += [_unordered_rows(files["uniswapv3_WETHUSDT_1h"], calendar.hour(UNORDERED_DAY))]
    defects += [_windows_text(files["ethfi_topups"])]
    return defects + _as_delivered(files)


def _drop(f: SampleFile, first: int, count: int) -> str:
    """Remove rows; return their span."""
    removed = f.rows[first : first + count]
    del f.rows[first : first + count]
    return f"{removed[0].split(',')[0]} to {removed[-1].split(',')[0]}"


def _price_gap(f: SampleFile, first: int, hours: int) -> Defect:
    what = f"{hours} hours missing: {_drop(f, first, hours)}"
    return Defect(f.path, "price_hole", what, hours, "bybit at the same hour")


def _funding_gap(f: SampleFile, first: int) -> Defect:
    what = f"a day missing: {_drop(f, first, 3)}"
    return Defect(f.path, "funding_gap", what, 3, "mean of the other venues")


def _duplicate_rows(f: SampleFile) -> Defect:
    """Repeat rows, as downloads do where one page ends and the next begins."""
    places = range(len(f.rows) - 1, 0, -max(1, len(f.rows) // 11))
    repeated = sorted(places)[:11]
    for place in reversed(repeated):
        f.rows.insert(place, f.rows[place])
    return Defect(f.path, "duplicate_rows", "exact duplicates", len(repeated), "dropped")


def _late_timestamps(f: SampleFile, first: int) -> Defect:
    """Settlements stamped up to 400 ms after the hour, as in some downloads."""
    late = range(first, min(first + LATE_ROWS, len(f.rows)))
    for place in late:
        milliseconds = 1 + place * 37 % 400
        f.rows[place] = f.rows[place].replace("Z,", f".{milliseconds:03d}Z,", 1)
    return Defect(f.path, "late_stamps", "at most 400 ms late", len(late), "snapped to the hour")


def _unordered_rows(f: SampleFile, first: int) -> Defect:
    """Two days of rows placed before the day that precedes them."""
    block = f.rows[first : first + 72]
    f.rows[first : first + 72] = block[24:] + block[:24]
    return Defect(f.path, "unordered_rows", "a day out of place", len(block), "sorted")


def _windows_text(f: SampleFile) -> Defect:
    f.byte_order_mark, f.line_end = True, "\r\n"
    return Defect(f.path, "byte_order_mark_and_crlf", "from a spreadsheet", len(f.rows), "read")


def _as_delivered(files: Mapping[str, SampleFile]) -> list[Defect]:
    """Defects that the writers of the files produce themselves."""
    pegs = [
        Defect(
            files[f"{lst}_peg"].path,
            "late_start",
            f"first row {hours} hours after the oracle's",
            hours,
            "the oracle's rate until then",
        )
        for lst, hours in PEG_STARTS_AFTER_HOURS.items()
    ]
    margins = [
        Defect(
            files[f"{venue}_margin"].path,
            "inverted_margins",
            "initial 5 % below maintenance 10 %",
            1,
            "the venue's configuration decides",
        )
        for venue in MARGIN_FILES
    ]
    return pegs + margins
