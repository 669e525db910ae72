"""The registry of error codes: the meaning of each, its likely cause, what to do, who raises it.

A code stands for a failure that can happen. Numbers of a family's range that stand for none are
reserved, and `RESERVED` says why. Codes are only ever added at the end of their family.
`python -m basis_pipeline.error_codes > docs/errors.md` writes the reference page.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from basis_pipeline.error_families import FAMILIES, PHASES, Family, Severity

__all__ = ["FAMILIES", "PHASES", "REGISTRY", "RESERVED", "ErrorCode", "Severity"]
__all__ += ["markdown", "why_reserved"]

DOCUMENT = "docs/errors.md"


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One entry of the registry."""

    code: str
    severity: Severity
    component: str
    meaning: str
    cause: str
    remedy: str

    @property
    def family(self) -> str:
        """The code without its number."""
        return self.code.rpartition("-")[0]

    @property
    def phase(self) -> int:
        """The quality-gate phase, a key of `PHASES`."""
        return FAMILIES[self.family].phase

    @property
    def document(self) -> str:
        """Where the reference page explains the code."""
        return f"{DOCUMENT}#{self.code.lower()}"


_W, _E, _C = Severity.WARNING, Severity.ERROR, Severity.CRITICAL

# code, severity, component, meaning / likely cause / remedy
# fmt: off
_ENTRIES = (
    ("CONFIG-001", _E, "settings", "an environment variable is missing",
     "the environment file is of an earlier version, or not the one that was meant",
     "set it, or name an env file"),
    ("CONFIG-002", _E, "settings", "an environment variable has an unusable value",
     "a misspelt name or value",
     "correct the value"),
    ("CONFIG-003", _E, "configuration", "a configuration file or directory is missing",
     "the command runs outside a checkout, or BASIS_CONFIG_DIR or BASIS_ENV_FILE is misspelt",
     "restore it"),
    ("CONFIG-004", _E, "configuration", "a configuration file is not valid YAML",
     "a tab, an open bracket, a key given twice, or an encoding other than UTF-8",
     "correct the syntax"),
    ("CONFIG-005", _E, "configuration", "a configuration does not fit its model",
     "an unknown or missing key, text where a number belongs, a number out of its range",
     "correct the named key"),
    ("CONFIG-006", _E, "configuration", "a rule between configuration fields is broken",
     "one of two fields that depend on each other was changed alone",
     "change the fields"),
    ("CONFIG-007", _E, "configuration", "an unknown mode or account was asked for",
     "a misspelt name, or one whose file is not there",
     "use one of those listed"),
    ("CONFIG-008", _E, "configuration", "a mode names an unknown venue or share class",
     "a misspelt name, or a venue without a file",
     "add or correct it"),
    ("CONFIG-009", _E, "configuration", "a mode needs a dataset the catalogue lacks",
     "a venue, an asset or a token for which nobody has described the files",
     "add the dataset"),
    ("CONFIG-010", _E, "configuration", "an override names no existing key",
     "a misspelt key, or one that is spelt differently in the mode's file",
     "use a dotted key that exists"),
    ("CONFIG-011", _E, "configuration", "the window, or a date in it, cannot be used",
     "start and end exchanged, minutes in an hour, a flow before the start or after the end",
     "give start before end"),
    ("CONFIG-012", _E, "configuration", "the capital, or what is left of it, is not positive",
     "a sign or a unit slipped in, or the cost of freeing a withdrawal was left out",
     "give a positive capital"),
    ("CONFIG-013", _E, "configuration", "a configuration or environment file cannot be read",
     "a broken link, a file of another user, a disk error, or not a text file",
     "make the file readable"),
    ("CONFIG-014", _E, "configuration", "several datasets are of the same thing",
     "a dataset file that was copied, and its key `of` left as it was",
     "correct the key `of` of the copies"),
    ("CONFIG-MGR-001", _E, "configuration", "an override is not of the form key=value",
     "a blank around which the shell split it, or the value forgotten",
     "write key=value, in quotes where the value has blanks"),
    ("CONFIG-MGR-002", _E, "configuration", "a key is overridden twice",
     "a command line put together from two",
     "keep the one that is meant"),
    ("CONFIG-MGR-003", _E, "configuration", "an override would turn the mode into another",
     "the key `mode` overridden",
     "ask for the other mode by its name"),
    ("CONFIG-MGR-004", _E, "configuration", "an override's value is not valid YAML",
     "brackets or quotes that the shell removed",
     "put the whole key=value in single quotes"),
    ("CONFIG-MGR-005", _E, "scenarios", "a scenario set has too many points",
     "a grid over many keys, or a number with some zeros too many",
     "take fewer steps, or draw points instead of combining all"),
    ("DATA-001", _E, "data", "a feed that a mode needs has no file",
     "a delivery is missing, or its files are named otherwise",
     "put the file where `glob` looks for it, or leave out the modes that need it"),
    ("DATA-002", _E, "data", "a raw file is empty",
     "a download that failed after creating the file",
     "fetch the file again: its download failed"),
    ("DATA-003", _E, "data", "a raw file lacks a column",
     "the source renamed a column, or a file of another kind has this name",
     "give `names` where there is no header, or map the columns that are there"),
    ("DATA-004", _E, "data", "a raw file holds an unreadable value or timestamp",
     "text where a number belongs, a timestamp of another form, a file that cannot be opened",
     "correct `format` in the dataset's file where the message names its cause"),
    ("DATA-005", _E, "data", "a raw file ends in a truncated line",
     "the copy was interrupted, or is still going on",
     "fetch the file again, or wait until its copy has ended"),
    ("DATA-006", _E, "data", "a file has two different rows for one timestamp",
     "a correction was appended instead of replacing the row",
     "find the true row"),
    ("DATA-007", _E, "data", "two files of a feed disagree about a timestamp",
     "an old delivery lies beside the one that corrects it",
     "remove the wrong file"),
    ("DATA-008", _E, "data", "a price is missing, zero or negative",
     "the source wrote a row for an hour it had no price of",
     "remove the row, so that the hour is a gap that the declared repair fills"),
    ("DATA-009", _E, "data", "an index that can only grow falls",
     "rows of two reserves in one file, or a value of another unit",
     "read one reserve a file, or give its `scale`"),
    ("DATA-010", _E, "data", "the rows cover too little of the window",
     "a part of the delivery is missing, or the window is longer than the data",
     "add files of the missing time, or choose a shorter window"),
    ("DATA-011", _E, "data", "a file holds another symbol than its name says",
     "a file saved under the wrong name",
     "narrow `glob` to the symbol, or select its rows with `format: {where: …}`"),
    ("DATA-012", _E, "data", "the window lies outside the data",
     "a start before the first row or an end after the last",
     "choose a window inside the data"),
    ("DATA-013", _E, "data", "a gap is longer than its repair policy allows",
     "an outage of the source, or a substitute with the same gap",
     "add files with these hours, or declare a repair under `repair`"),
    ("DATA-014", _E, "data", "a dataset does not fit its schema",
     "bars that contradict themselves, timestamps that are not on the hour",
     "see the offending rows"),
    ("DATA-015", _E, "data", "a raw file has a line or a size that no feed has",
     "binary content under the name of a CSV file, line ends that were lost, or a wrong download",
     "give `format: {type: …}` where it is not CSV, or fetch the file again"),
    ("DATA-016", _E, "data", "a value or a whole feed cannot be true",
     "percent, basis points, wei or ray, shifted hours, another symbol, or a mistyped value",
     "give `scale`, `unit` or `label` in `format` where the cause is one, or correct the limits"),
    ("FETCH-001", _E, "fetch", "a feed cannot be fetched as its dataset file says",
     "a misspelt name, a dataset file without the key source, or a source that lacks a column",
     "use one of the feeds listed, or correct the key source of the dataset file"),
    ("FETCH-002", _E, "fetch", "a source does not answer",
     "an outage of the source or of the network, or a rate limit of many minutes",
     "fetch again later: what was stored is kept, and the next fetch goes on from there"),
    ("FETCH-003", _E, "fetch", "a source rejects the request",
     "a symbol, contract or pool it does not know, or an endpoint without old states",
     "correct the key source of the dataset file, or the endpoint"),
    ("FETCH-004", _E, "fetch", "the answers of a source are damaged",
     "a wrong checksum, half a body, a proxy that answers with a page of its own",
     "fetch again later; nothing of the answer was stored"),
    ("FETCH-005", _E, "fetch", "a source answers with something else than was asked for",
     "another symbol or another chain behind the address",
     "correct the key source of the dataset file, or the endpoint"),
    ("FETCH-006", _W, "fetch", "a source now gives other values than those stored",
     "the publisher has revised them",
     "compare the two: the stored values stay until basis data fetch FEED --accept-revisions"),
    ("FETCH-007", _E, "fetch", "another process is fetching the feed",
     "a schedule and a person at the same time",
     "wait until it has ended"),
    ("FETCH-008", _E, "fetch", "what is fetched cannot be stored",
     "a full disk, or a data directory that is read-only",
     "free or open the data directory"),
    ("FETCH-009", _E, "fetch", "the endpoint of a source is not set",
     "the variable that the key url_variable names is in no environment file",
     "set the variable"),
    ("FETCH-010", _W, "fetch", "a source has no rows for a part of the time asked for",
     "an outage of the exchange at that time, or files that its publisher left out",
     "nothing: the hours are asked for again for a week, then the dataset's repair policy decides"),
    ("FETCH-011", _E, "fetch", "a host has failed too often and is left alone",
     "an outage of the host: every question to it would only wait",
     "fetch again later"),
    ("FETCH-012", _E, "fetch", "stored files are not as they were fetched",
     "files were edited or removed by hand, or the source in the dataset file is another one now",
     "remove the files named and their manifest, and fetch again"),
    ("DATA-017", _E, "data", "a file is of no known form",
     "columns with names of their own, or a form that no preset describes",
     "write the dataset's file by hand with `format` and `columns`"),
    ("MATH-001", _C, "engine", "a run holds a value that is not a finite number",
     "a capital that no float can multiply, or a reward paid before its token had a price",
     "give a usable capital, or switch rewards off"),
    ("COMPONENT-001", _E, "engine", "the compiler's cache cannot be written",
     "an installation that is read-only, or a NUMBA_CACHE_DIR that is not a directory",
     "set NUMBA_CACHE_DIR to a directory that can be written"),
    ("COMPONENT-002", _E, "cluster", "a Dask cluster cannot be used",
     "a wrong address, workers that are killed for want of memory, or another version there",
     "see the scheduler's log; what is finished is kept, the same command goes on"),
    ("BT-001", _E, "backtest", "a blocking check upstream of a backtest is failing",
     "a delivery was rejected, or the data were never materialised",
     "fix the data first"),
    ("BT-002", _C, "backtest", "a backtest does not reconcile",
     "the engine is wrong; or next to nothing is left and rounding exceeds it",
     "report the run: the engine is wrong"),
    ("BT-003", _E, "panel", "a panel cannot be used by the engine",
     "a panel put together or changed by other code than build_panel",
     "see the array named"),
    ("BT-004", _E, "backtest", "the capital does not pay for entering",
     "a capital too small for the gas of the first transactions",
     "give more capital, or switch costs off"),
    ("BT-005", _E, "emergency control", "work is halted",
     "a person halted it, or a limit of configs/control/limits.yaml was reached",
     "see basis control, fix the cause, then basis resume --by NAME --reason TEXT"),
    ("BT-006", _E, "requests", "a backtest request has the id of another one",
     "an id used again for something else",
     "give it an id of its own, or leave the request as it was"),
    ("RS-001", _C, "results store", "the results directory cannot be written",
     "a full disk, a directory of another user, a file where a directory belongs",
     "free or open the directory"),
    ("RS-002", _E, "results store", "a run is not in the store",
     "a misspelt identity, or a directory that was moved or removed",
     "use one of the runs listed"),
    ("RS-003", _C, "results store", "a stored run does not match its recorded hash",
     "a file was edited or damaged, or other code gave other tables for the same run",
     "run it again"),
    ("RS-004", _E, "results store", "a table or summary is not one that the store keeps",
     "a column added or renamed, a venue whose name is not lower case, timestamps without a zone",
     "give the table the columns and types that results/tables.py lists"),
    ("RS-005", _C, "results database", "the results database is damaged, or of another make",
     "a disk that was full, a flipped byte, or another file under its name",
     "move the file away: the next start records every run anew from its files"),
    ("RS-006", _E, "results store", "a stored run cannot be read",
     "a disk error, a broken link, a directory of another user",
     "make the directory readable"),
    ("RS-007", _E, "results database", "the results database is held by another for too long",
     "a long transaction of another program, or a writer that hangs",
     "see who holds it; what was accepted waits, and is recorded later"),
    ("RS-008", _E, "results database", "the results database cannot be reached",
     "a server that is down, a malformed URL, or a misspelt host, name, user or password",
     "correct BASIS_RESULTS_DB_URL, or start the server"),
    ("RS-009", _E, "results queue", "the queue of results is full",
     "nothing drains it: the database is locked, full or out of reach",
     "fix the database: the run's files are kept and recorded at the next start"),
    ("RS-010", _E, "results backup", "a backup is damaged, or is not a backup",
     "an interrupted copy, an edited file, or a backup of the other kind of database",
     "restore an earlier backup"),
    ("RS-011", _E, "results backup", "a backup would be restored over something",
     "the place holds results already",
     "name an empty place, or ask for it with --overwrite"),
    ("RS-012", _E, "results database", "the results database is of a later version",
     "a later version of the project has been used with it",
     "use that version, or name another database"),
    ("RS-013", _E, "sweeps", "a directory holds another sweep",
     "the set, the mode, the data or the engine changed since it was begun",
     "name another directory, or remove this one"),
    ("HEALTH-001", _E, "health", "a component is unhealthy",
     "see the component's own code",
     "fix the components named: what depends on them recovers by itself"),
    ("HEALTH-002", _E, "disk", "the results cannot be written, or their disk has too little room",
     "runs and logs of many nights, other tenants of the disk, a read-only mount",
     "free room, or name another results directory"),
    ("HEALTH-003", _E, "memory", "there is too little memory available",
     "several runs at once, or other processes",
     "end what is not needed, or run fewer at once"),
    ("HEALTH-004", _E, "daemon", "the daemon gives no sign of life, and schedules or sensors wait",
     "it was not started, it was ended, or it hangs",
     "start it: dagster-daemon run, or make ui"),
    ("HEALTH-005", _E, "sensors", "a schedule, a sensor or the daemon reports an error",
     "the code location cannot be loaded, or what the sensor watches is gone",
     "see the failed tick in the web interface"),
    ("HEALTH-006", _W, "settings", "a file with a secret can be read or changed by every user",
     "an environment file was made with the usual permissions",
     "close it to others: chmod 600 FILE"),
    ("HEALTH-007", _E, "health", "a component cannot be looked at",
     "its place went away or changed while it was looked at",
     "see the message, and run basis health again"),
    ("EVENT-001", _C, "audit log", "the audit log cannot be written",
     "a full disk, a directory without permission, or a file in its place",
     "free the disk or open the directory"),
    ("EVENT-002", _W, "audit log", "a line of the log cannot be read",
     "something else wrote into the file",
     "see what else writes there"),
    ("EVENT-003", _W, "audit log", "a log file ends in a truncated line",
     "the disk was full, or the machine went down",
     "nothing: the lines before it are whole"),
    ("EVENT-004", _E, "audit log", "a compressed log file is damaged",
     "an interrupted copy, or a disk error",
     "restore it from a copy"),
    ("EVENT-005", _E, "audit log", "an unknown type of event was asked for",
     "a misspelt type or category",
     "use one of those listed"),
    ("EVENT-006", _E, "audit log", "a time asked for cannot be used",
     "an unknown form, or a span that ends before it begins",
     "use one of the forms listed"),
    ("EVENT-007", _W, "audit log", "log files cannot be compressed or removed",
     "a full disk, or a file of another user",
     "fix the permissions of the file named, or free the disk"),
    ("EVENT-008", _E, "audit log", "there is no audit log",
     "another results directory was meant, or nothing has run",
     "name the directory that runs write to"),
    ("API-001", _E, "command line", "a command was called with unusable arguments",
     "a misspelt option or name, or a value out of its range",
     "see --help"),
    ("API-002", _E, "command line", "what a command was to write cannot be written",
     "a full disk, a directory of another user, a file where a directory belongs",
     "name a place that can be written"),
    ("API-003", _E, "command line", "a page cannot be printed",
     "no Chromium is installed, or it did not start",
     "install chromium, or write the page with --format html and print it in a browser"),
    ("API-004", _E, "HTTP API", "there is nothing at the address that was asked for",
     "a misspelt path or name, or a method that the path does not have",
     "see /docs for every path, and the list above a name for the names"),
    ("API-005", _E, "HTTP API", "a call does not fit its form",
     "an unknown field, a missing one, or a value of another type",
     "correct the field whose path is given; /docs shows the form"),
    ("API-006", _E, "HTTP API", "a caller may not do this",
     "a missing or wrong token, a call from another machine or from a page of another site",
     "send Authorization: Bearer with the value of BASIS_API_TOKEN"),
    ("API-007", _E, "HTTP API", "the body of a call is too large",
     "a file sent by mistake",
     "send at most 1 MB"),
    ("API-008", _E, "HTTP API", "an answer takes too long",
     "a results database that is locked or out of reach, or a machine under load",
     "ask again; a request for a backtest with the same Idempotency-Key is accepted once"),
    ("API-009", _E, "HTTP API", "an answer fails by a fault of the program",
     "a case that nobody has thought of",
     "report it with the correlation id; basis events --run ID shows what is known"),
    ("API-010", _E, "HTTP API", "a backtest request is not in the state that the call needs",
     "a result asked for before it is there, or a cancellation after the work has begun",
     "see the state of the request"),
    ("PLATFORM-001", _E, "graph", "the Dagster instance cannot be opened",
     "DAGSTER_HOME names a place that cannot be written",
     "check DAGSTER_HOME"),
    ("PLATFORM-002", _E, "graph", "no pipeline run is recorded yet",
     "another results directory was meant, or nothing has run",
     "run the pipeline first"),
    ("PLATFORM-003", _E, "graph", "a value kept between two assets is damaged",
     "a disk error, or a file of the warehouse was edited or written by another version",
     "materialise the asset again"),
    ("PLATFORM-004", _W, "alerts", "an alert cannot be delivered to the webhook",
     "a receiver that is down, slow or answers an error, or a misspelt BASIS_ALERT_WEBHOOK_URL",
     "see the receiver; the alert stands in the event log: basis events --type alert"),
    ("PLATFORM-005", _E, "platform", "a process of the platform does not start or does not end",
     "a port that another program holds, or a program that is not installed",
     "see the end of its log in the message; free the port, or name another one"),
)
# fmt: on

REGISTRY: dict[str, ErrorCode] = {entry[0]: ErrorCode(*entry) for entry in _ENTRIES}


def _reserved(name: str, family: Family) -> tuple[tuple[str, ...], str]:
    numbers = (f"{name}-{number:03d}" for number in range(1, family.size + 1))
    return tuple(code for code in numbers if code not in REGISTRY), family.reserved


# Family → the codes that stand for no failure, and why there is none.
RESERVED: dict[str, tuple[tuple[str, ...], str]] = {
    name: _reserved(name, family) for name, family in FAMILIES.items()
}


def why_reserved(code: str) -> str:
    """The reason why a number of a family's range stands for nothing; empty for any other text."""
    codes, reason = RESERVED.get(code.rpartition("-")[0], ((), ""))
    return reason if code in codes else ""


def markdown() -> str:
    """The reference page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield from (
        "# Error codes",
        "",
        "Generated by `python -m basis_pipeline.error_codes > docs/errors.md`; a test compares the",
        "two. `basis errors CODE` shows an entry in the terminal.",
        "",
        f"{len(REGISTRY)} codes. WARNING: only what the message names is lost. ERROR: what was",
        "asked for is rejected, the rest goes on. CRITICAL: nothing that is written or computed",
        "there can be relied on.",
    )
    for name, family in FAMILIES.items():
        yield from (
            "",
            f"## {name}: {family.subject}",
            "",
            f"{name}-001 … {family.size:03d} · phase {family.phase}: {PHASES[family.phase]}",
        )
        for entry in REGISTRY.values():
            if entry.family == name:
                yield from _entry(entry)
        codes, reason = RESERVED[name]
        if codes:
            numbers = codes[0] if len(codes) == 1 else f"{codes[0]} … {codes[-1][-3:]}"
            yield from ("", f"Reserved: {numbers}. {reason[0].upper()}{reason[1:]}.")


def _entry(entry: ErrorCode) -> Iterator[str]:
    yield from (
        "",
        f"### {entry.code}",
        "",
        f"**{entry.meaning[0].upper()}{entry.meaning[1:]}.** {entry.severity.value}",
        "",
        f"- Raised by: {entry.component}.",
        f"- Likely cause: {entry.cause}.",
        f"- What to do: {entry.remedy}.",
    )


if __name__ == "__main__":
    print(markdown(), end="")
