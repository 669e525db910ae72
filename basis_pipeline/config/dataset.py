"""The model of a dataset file: what a feed of raw files holds, and which repairs are allowed."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from basis_pipeline.config.base import Hours, Name, StrictModel
from basis_pipeline.config.file_format import FileFormat
from basis_pipeline.config.source import Source
from basis_pipeline.config.universe import BARS, Kind, Of

MAX_INTERPOLATION_HOURS = 3


DOCUMENTS = (Kind.EXECUTION_COSTS, Kind.RISK_PARAMS)


class TimestampRule(StrictModel):
    """Which column holds a row's time, and how far it may lie from its full hour.

    `instant` reads unix seconds or milliseconds and ISO 8601 with or without zone (UTC then);
    `date` is a calendar day and means 00:00 UTC.
    """

    column: str
    format: Literal["instant", "date"]
    early_seconds: Annotated[int, Field(ge=0, le=60)]
    late_seconds: Annotated[int, Field(ge=0, le=60)]


class Column(StrictModel):
    """One catalogued column: its canonical name, unit, and the values it may take.

    `positive` rejects zero, negative and missing values, as for prices; `non_negative` and `finite`
    only need to be numbers. `grows` marks a value that can only grow, and gives the relative fall
    that counts as rounding. `per_days` gives the days of a reward's rate that is not per period.
    """

    to: Name
    unit: str
    description: str
    values: Literal["positive", "non_negative", "finite", "date"]
    grows: Annotated[float, Field(ge=0.0)] | None = None
    per_days: Annotated[int, Field(gt=0)] | None = None


class Substitution(StrictModel):
    """Take whole rows from another dataset at the same timestamp.

    max_hours: the longest gap that may be filled; null for no limit.
    before_first: also fill the hours before this feed's own first row, however many.
    """

    source: Name
    max_hours: Hours | None
    before_first: bool


class MeanOf(StrictModel):
    """Take the mean of other datasets at the same timestamp; all of them must have it."""

    datasets: Annotated[tuple[Name, ...], Field(min_length=1)]
    max_hours: Hours | None
    before_first: bool


class Interpolation(StrictModel):
    """Grow geometrically between the rows around a gap: for what accrues, never for a quote."""

    method: Literal["geometric"]
    max_hours: Annotated[int, Field(gt=0, le=MAX_INTERPOLATION_HOURS)]


class CarryLast(StrictModel):
    """Repeat the last known value; for a bar its close, with no volume."""

    max_hours: Hours


class BeforeFirst(StrictModel):
    """Before the feed's first row, take the (only) value of another dataset."""

    source: Name
    max_hours: Hours


class RepairPolicy(StrictModel):
    """The repairs that a dataset allows. A defect without a declared repair is an error."""

    drop_exact_duplicates: bool
    before_first: BeforeFirst | None = None
    substitute: Substitution | None = None
    mean_of: MeanOf | None = None
    interpolate: Interpolation | None = None
    carry_last: CarryLast | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """Datasets the repairs may read, sorted."""
        found = set(self.mean_of.datasets) if self.mean_of else set()
        found |= {policy.source for policy in (self.before_first, self.substitute) if policy}
        return tuple(sorted(found))

    def __str__(self) -> str:
        repairs = []
        if self.before_first:
            repairs.append(f"before the first row from {self.before_first.source}")
        if self.substitute:
            repairs.append(
                f"substitute {self.substitute.source}{_limit(self.substitute.max_hours)}"
            )
        if self.mean_of:
            names = " and ".join(self.mean_of.datasets)
            repairs.append(f"mean of {names}{_limit(self.mean_of.max_hours)}")
        if self.interpolate:
            repairs.append(f"interpolate{_limit(self.interpolate.max_hours)}")
        if self.carry_last:
            repairs.append(f"carry the last value{_limit(self.carry_last.max_hours)}")
        return "; ".join(repairs) or "no repair"


def _limit(hours: int | None) -> str:
    return f" over at most {hours} hours" if hours else ""


class Coverage(StrictModel):
    """How much of a window the feed's own rows must cover.

    starts_late: the feed begins late by nature (a token's listing): the share is counted from the
    start in the file names, or from the first row, and nothing is filled before it.
    min_rows: least number of rows, where a share means little (events).
    """

    min_share: Annotated[float, Field(ge=0.0, le=1.0)]
    starts_late: bool
    min_rows: Annotated[int, Field(gt=0)] | None = None


class OutlierBounds(StrictModel):
    """Steps and levels that need review: a warning, never a failure, since crises are real.

    column is canonical; max_log_change bounds |log(x_t / x_t−1)|, max_abs bounds |x_t|.
    """

    column: Name
    max_log_change: Annotated[float, Field(gt=0.0)] | None = None
    max_abs: Annotated[float, Field(gt=0.0)] | None = None

    def __str__(self) -> str:
        level = [] if self.max_abs is None else [f"at most {self.max_abs:g}"]
        step = [] if self.max_log_change is None else [f"steps of at most {self.max_log_change:g}"]
        return ", ".join(level + step)


class Agreement(StrictModel):
    """Other datasets that quote the same thing, and the differences that are allowed, in bp.

    A difference is relative for prices and absolute for rates (1 bp = 0.0001 of the rate's unit).
    The median difference and every single one have a bound. Only rows that both feeds have are
    compared. A feed is rejected when most of its peers and witnesses contradict it; a witness
    quotes nearly the same thing (the spot for the perpetual), and is used for nothing else.
    """

    peers: Annotated[tuple[Name, ...], Field(min_length=1)]
    witnesses: tuple[Name, ...] = ()
    column: Name
    peer_column: Name
    relative: bool
    max_median_bp: Annotated[float, Field(gt=0.0)]
    max_gap_bp: Annotated[float, Field(gt=0.0)]

    @property
    def quotes(self) -> tuple[str, ...]:
        """Peers and witnesses: every dataset that the feed is compared with."""
        return (*self.peers, *self.witnesses)


class DatasetConfig(StrictModel):
    """One feed of raw files and the dataset made of it; both carry the same name.

    Parameters
    ----------
    of: what the dataset describes; it is found by this.
    glob: the feed's files, below the data directory.
    preset, format: how the files are written: the name of a publisher's form in `presets/`, and
        what differs from it, or from a plain CSV file.
    frequency: hours between two rows; null for events and for documents without time.
    columns: raw name → canonical column. A JSON document's values are catalogued by its kind.
    identity: raw column → the one value it must hold (the symbol inside the file).
    interval_column: raw column with the hours that a settlement covers, where the files have it.
    required_keys: dotted keys a JSON document must hold.
    payout_delay_days: days from the end of a reward's period to its payout, where the files state
        no payout date.
    limits: canonical column (`price`: those of a bar) → lowest and highest value accepted; other
        columns have the limits of their kind.
    max_age_hours: age of the last hour that the feed covers, above which an account treats it as
        stale; null for that of its kind.
    source: where `basis data fetch` gets the files; null for files that a person delivers.
    """

    name: Name
    of: Of
    description: str
    owner: str
    glob: str
    frequency_hours: Hours | None
    preset: Name | None = None
    format: FileFormat = FileFormat()
    timestamp: TimestampRule | None
    columns: dict[str, Column]
    identity: dict[str, str]
    interval_column: str | None = None
    required_keys: tuple[str, ...] = ()
    payout_delay_days: Annotated[int, Field(ge=0, le=366)] = 0
    repair: RepairPolicy
    coverage: Coverage
    outliers: tuple[OutlierBounds, ...] = ()
    limits: dict[Name, tuple[float, float]] = Field(default_factory=dict)
    agreement: Agreement | None = None
    max_age_hours: Hours | None = None
    # Not part of a run's identity, which knows the files by their content.
    source: Annotated[Source | None, Field(exclude=True)] = None

    @property
    def kind(self) -> Kind:
        """What the dataset holds."""
        return self.of.kind

    @property
    def sources(self) -> tuple[str, ...]:
        """Other datasets this dataset's repairs may read, sorted."""
        return self.repair.sources

    @property
    def is_document(self) -> bool:
        """Whether the feed is JSON, not rows of CSV."""
        return self.kind in DOCUMENTS

    @property
    def value_columns(self) -> tuple[str, ...]:
        """Canonical names of the columns, in catalogue order."""
        return tuple(column.to for column in self.columns.values())

    @field_validator("glob")
    @classmethod
    def _stays_below_the_data_directory(cls, glob: str) -> str:
        parts = glob.split("/")
        if "" in parts or ".." in parts:
            raise ValueError("a glob names files below the data directory, without `..`")
        if any("**" in part and part != "**" for part in parts) or parts[-1] == "**":
            raise ValueError("`**` means whole folders: write `folder/**/name_*.csv`")
        return glob

    @model_validator(mode="after")
    def _fits_its_format(self) -> Self:
        for raw in self.columns:
            if reason := self.format.unusable.get(raw):
                raise ValueError(f"{raw} must not be used: {reason}")
        if self.format.interval_minutes and self.kind not in BARS:
            raise ValueError("format.interval_minutes is a key of bars")
        return self

    @model_validator(mode="after")
    def _fits_its_source(self) -> Self:
        if self.source is None or self.source.kind not in WRITTEN_PLAIN or self.is_document:
            return self
        plain = FileFormat()
        unlike = [
            f"{key}: {getattr(self.format, key)}"
            for key in OF_OTHER_FORMS
            if getattr(self.format, key) != getattr(plain, key)
        ]
        if unlike:
            raise ValueError(
                f"source {self.source.kind} writes CSV with a header, times in UTC, open times and "
                f"no scale, but the format or its preset says {', '.join(unlike)}: leave out one "
                "of the two; files of both forms are two datasets"
            )
        return self

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        allowed = {
            "substitute": BARS,
            "mean_of": (Kind.FUNDING,),
            "before_first": (Kind.PEG,),
            "interpolate": (Kind.ORACLE,),
            "carry_last": (Kind.BENCHMARK, *BARS),
        }
        for policy, kinds in allowed.items():
            if getattr(self.repair, policy) is not None and self.kind not in kinds:
                raise ValueError(f"repair.{policy} is not a repair of {self.kind}")
        if self.is_document != (self.timestamp is None) or self.is_document == bool(self.columns):
            raise ValueError("timestamp and columns are given for CSV feeds, and only for them")
        wanted, others = REQUIRED.get(self.kind, ()), OPTIONAL.get(self.kind, ())
        if self.kind is Kind.REWARDS and "tokens_total" in self.value_columns:
            wanted, others = REWARD_TOTALS, ("stated_per_unit",)
        if self.payout_delay_days and self.kind is not Kind.REWARDS:
            raise ValueError(f"payout_delay_days is a key of rewards, not of {self.kind}")
        given = set(self.value_columns)
        if len(given) < len(self.columns) or not set(wanted) <= given <= {*wanted, *others}:
            may = f", and may to {', '.join(others)}" if others else ""
            must = ", ".join(wanted) or "none"
            raise ValueError(f"columns of {self.kind} must map to {must}{may}, each once")
        named = {bounds.column for bounds in self.outliers}
        named |= {self.agreement.column} if self.agreement else set()
        if not self.is_document and not named <= given:
            raise ValueError("outliers and agreement name canonical columns")
        limited = {*wanted, *others, "price"} if self.kind in BARS else {*wanted, *others}
        limited |= {"value", "cost_bps"} if self.is_document else set()
        if not set(self.limits) <= limited or any(
            low >= high for low, high in self.limits.values()
        ):
            raise ValueError(
                "limits name canonical columns, each with its lowest and highest value"
            )
        if self.name in self.sources:
            raise ValueError("a dataset cannot repair itself")
        return self


# Sources whose rows are written as CSV, and the keys of a format that such files do not fit.
WRITTEN_PLAIN = ("ccxt", "ethereum_rpc", "defillama")
OF_OTHER_FORMS = (
    *("type", "delimiter", "skip_lines", "header", "utc_offset_hours", "label"),
    *("where", "scale", "settlements"),
)
# Canonical columns by kind: those that every file must have, and those that are used where given.
REQUIRED: dict[Kind, tuple[str, ...]] = {
    Kind.PERP_BARS: ("open", "high", "low", "close"),
    Kind.SPOT_BARS: ("open", "high", "low", "close"),
    Kind.FUNDING: ("funding_rate",),
    Kind.LENDING_RATES: ("liquidity_index", "variable_borrow_index"),
    Kind.ORACLE: ("oracle_rate",),
    Kind.PEG: ("market_rate",),
    Kind.GAS: ("base_fee_gwei",),
    Kind.REWARDS: ("period_start", "period_end", "tokens_per_unit"),
    Kind.BENCHMARK: ("apr",),
}
OPTIONAL: dict[Kind, tuple[str, ...]] = {
    Kind.PERP_BARS: ("volume",),
    Kind.SPOT_BARS: ("volume",),
    Kind.LENDING_RATES: (
        "liquidity_rate",
        "variable_borrow_rate",
        "total_a_token",
        "total_variable_debt",
        "price_usd",
    ),
    Kind.GAS: ("priority_fee_p50_gwei",),
}
# For a programme that states the total that a period paid, over all units.
REWARD_TOTALS = (
    "period_start",
    "period_end",
    "tokens_total",
    "units_restaked",
    "units_not_restaked",
)
