"""The command ``sca``: one line in, one report or table out; one sentence where that cannot be.

Exit code 0: done. 1: some of several reports failed. 2: the input or the call is at fault, said in one sentence
on stderr. Each command imports what it needs, so that none waits for the libraries of another.
"""

import json
import sys
from contextlib import ExitStack, suppress
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
import pandas as pd
from click.core import ParameterSource
from tqdm import tqdm

from sca_analysis import holding
from sca_analysis.engines import DEFAULT, ENGINES
from sca_analysis.errors import ParameterError, SCAError
from sca_analysis.exports import Exports
from sca_analysis.standards import Kind
from sca_analysis.tables import CASES, CHANGES, EVIDENCE, GAPS, SEARCHED, Table
from sca_analysis.tables import Kind as ColumnKind

if TYPE_CHECKING:  # each command imports what it runs
    from sca_analysis.cases import CaseList
    from sca_analysis.letters import Audience

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("data/sample"),
    show_default=True,
    help="Exports folder.",
)
as_of_option = click.option(
    "--as-of", metavar="DATE", help="YYYY-MM-DD; the last day of the newest claim month if not given."
)
engine_option = click.option(
    "--engine",
    type=click.Choice(list(ENGINES)),
    default=DEFAULT,
    show_default=True,
    help="What works on the tables; the figures are the same.",
)
identified_option = click.option(
    "--identified", is_flag=True, help="Write to a folder of reports all the same, which else holds no such rows."
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON alone on stdout.")


class _OneSentence(click.Group):
    """Turns an error of the input or of the call into its one sentence and exit code 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _in_one_sentence(error) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SCAError as error:
            sentence = show_all(str(error))
        except click.UsageError as error:
            raise _in_one_sentence(error) from error
        except BrokenPipeError:
            raise  # click ends quietly where nobody reads on
        except OSError as error:
            sentence = f"{error.filename or 'a file'}: {error.strerror}."
        click.echo(f"sca: {sentence}", err=True)
        return ctx.exit(2)


def show_all(text: str) -> str:
    """Return text with what cannot be seen written out: a line end in a file's name would make two sentences of one."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class _UsageSentence(click.UsageError):
    """Shows a fault of the call as all others are shown, without the lines of usage that click adds."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"sca: {self.message}", file=file, err=True)


def _in_one_sentence(error: click.UsageError) -> click.UsageError:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error
    message, command = error.format_message().rstrip("."), error.ctx.command_path if error.ctx else "sca"
    return _UsageSentence(f"{message[0].lower()}{message[1:]}: see `{command} --help`.")


@click.group(cls=_OneSentence, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(ctx: click.Context) -> None:
    """Analyse single case agreements from claims and network directory exports."""
    if ctx.invoked_subcommand != "report":  # which does so itself, and says more where it cannot
        with suppress(OSError):  # whoever needs a temporary file says so
            ctx.with_resource(holding.temporary())


@main.command()
@click.argument("month", required=False, metavar="MONTH")
@data_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Reports folder.",
)
@click.option("--plans", type=click.Path(path_type=Path), help="YAML list of {name, data, out, months}: several plans.")
@click.option("--resume", is_flag=True, help="Skip whole reports that were made from the same inputs and version.")
@click.option("--jobs", type=int, help="Runs at a time; one for each core if not given.")
@click.option("--pdf/--no-pdf", default=False, show_default=True, help="Print report.pdf too, with Chromium.")
@click.option("--log", type=click.Path(path_type=Path), help="File to which the log is added, instead of stderr.")
@click.option(
    "--identified",
    is_flag=True,
    help="Case numbers, days, counties and small counts, for the plan's own use; every page says so.",
)
@engine_option
@click.pass_context
def report(
    ctx: click.Context,
    month: str | None,
    data: Path,
    out: Path,
    plans: Path | None,
    resume: bool,
    jobs: int | None,
    pdf: bool,
    log: Path | None,
    identified: bool,
    engine: str,
) -> None:
    """Make the report of MONTH (YYYY-MM, or a range YYYY-MM..YYYY-MM) as one offline HTML page with its tables.

    It is de-identified unless --identified is given: its pseudonyms are made with the key in SCA_KEY, in the
    file SCA_KEY_FILE, or in one that is made for you.

    Exit code 1: some of several reports failed; the others are made. 2: bad usage, or a single report that failed.
    """
    # as the report's kernel: who checks notebooks parses a grammar for a second if this is there
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from sca_analysis.batch import Run, make_reports, read_plans, tell
    from sca_analysis.months import parse_months

    if plans:
        given = [n for n in ("data", "out") if ctx.get_parameter_source(n) is ParameterSource.COMMANDLINE]
        if given:
            raise ParameterError(f"{plans} says data and out of each plan: leave --{given[0]} out.")
        runs = read_plans(plans, month, engine, identified)
    elif month:
        runs = [Run("", one, data, out, engine, identified) for one in parse_months(month)]
    else:
        raise click.MissingParameter(ctx=ctx, param=ctx.command.params[0])
    is_single = not plans and ".." not in (month or "")
    with ExitStack() as stack:
        lines = stack.enter_context(log.open("a", encoding="utf-8", buffering=1)) if log else None

        def note(line: str) -> None:
            if lines or not is_single:
                click.echo(line, file=lines, err=lines is None)

        results = make_reports(runs, jobs, resume, pdf, log=note, progress=is_single and sys.stdout.isatty())
    for result in results:
        if is_single and result.error:
            raise result.error
        if result.outcome != "failed":
            click.echo(f"{result.run.folder / 'report.html'}")
        if result.why and (log or is_single):  # else the log on stderr has said so
            click.echo(result.why if is_single else tell(result), err=True)
    if any(result.error for result in results):
        ctx.exit(1)


@main.command()
@data_option
@json_option
def check(data: Path, as_json: bool) -> None:
    """Say, file by file, which rows are accepted and why others are set aside."""
    exports = Exports.open(data)
    if as_json:
        findings = exports.findings.to_dict("records")
        _print_json({"files": exports.files.to_dict("records"), "findings": findings})
        return
    for file in exports.files.itertuples():
        click.echo(
            f"{file.path} ({file.table}, {file.format}): {file.rows_read:,} rows read = "
            f"{file.accepted:,} accepted + {file.set_aside:,} set aside"
        )
        for reason, count in file.reasons.items():
            click.echo(f"    {count:>9,}  {reason}")
    if len(exports.findings):
        click.echo("\nOn accepted rows:")
    for f in exports.findings.itertuples():
        click.echo(f"    {f.rows:>9,} of {f.of_rows:,}  {f.level}: {f.table} {f.column}: {f.meaning}")
    if exports.missing:
        click.echo(f"\nNot in this folder: {', '.join(exports.missing)}.")


@main.command("map")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--plan", default="My plan", show_default=True, help="Name of the plan.")
@click.option("--write", is_flag=True, help="Write exports.yaml into FOLDER, unless there is one.")
def map_folder(folder: Path, plan: str, write: bool) -> None:
    """Propose an exports.yaml for the files of FOLDER: which table each is, and which column is which."""
    from sca_analysis.mapping import as_yaml, propose, write_config

    proposals = propose(folder)
    for one in proposals:
        what = f"{one.table} ({one.format})" if one.table else "not used"
        click.echo(f"{one.path}: {what}", err=True)
        for note in (*one.notes, *(f"nothing fits {c}, which must be there" for c in one.missing)):
            click.echo(f"    {note}", err=True)
        if one.table and one.unused:
            click.echo(f"    not used: {', '.join(one.unused)}", err=True)
    if write:
        path = write_config(folder, proposals, plan)
        click.echo(f"{path} is written. Look at it, then: sca check --data {folder}", err=True)
    else:
        click.echo(as_yaml(proposals, plan), nl=False)


@main.command()
@data_option
@as_of_option
@click.option(
    "--standards",
    metavar="NAME|FILE",
    help="A packaged standard by name; your copy of CMS's MA HSD reference workbook (.xlsx), for its numbers of each "
    "county; or a table of your own (.csv, .parquet) instead.",
)
@click.option("--facilities", is_flag=True, help="Facility types instead of specialties.")
@click.option(
    "--drive-times",
    metavar="estimate|FILE|URL",
    help="Judge by minutes too: estimated, from a file (origin, destination, minutes), or of an OSRM server of yours.",
)
@click.option("--without", "leaving", metavar="NPI,…", help="What if these providers left? Shows what changes.")
@click.option("--with", "joining", metavar="NPI,…", help="What if these OON providers joined? The same.")
@click.option(
    "--members", metavar="FIPS:SPECIALTY", help="The members behind one row, as CSV with member ids: for internal use."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder that gets all tables of adequacy, for internal use."
)
@identified_option
@engine_option
@json_option
def gaps(
    data: Path,
    as_of: str | None,
    standards: str | None,
    facilities: bool,
    drive_times: str | None,
    leaving: str | None,
    joining: str | None,
    members: str | None,
    out: Path | None,
    identified: bool,
    engine: str,
    as_json: bool,
) -> None:
    """Print the gap table: every county and specialty of the standard in force."""
    from sca_analysis.adequacy import change_network, measure_adequacy
    from sca_analysis.network import choose_criteria

    _refuse_shared(out, identified, "small counts")
    kind: Kind = "facility" if facilities else "provider"
    exports = Exports.open(data, engine)
    day = _parse_date(as_of) if as_of else exports.last_day
    criteria = choose_criteria(exports, standards, kind)
    found = measure_adequacy(exports, day, criteria, drive_times=drive_times, kind=kind)
    for note in found.notes:
        click.echo(note, err=True)
    if members:
        from sca_analysis.saving import guard_formulas

        behind = guard_formulas(found.members_behind(members))
        click.echo(behind.to_csv(index=False, lineterminator="\n"), nl=False)
        return
    if leaving or joining:
        shown, table = change_network(found, _split(leaving), _split(joining)), CHANGES
        headline = f"{len(shown)} of {len(found.gaps.table)} cells change:"
    else:
        shown, table = found.gaps.table, GAPS
        failing = shown["status"] != "met"
        headline = f"{failing.sum()} of {len(shown)} cells do not meet the standard on {day} ({criteria.name}):"
    if out:
        from sca_analysis.saving import save_tables

        save_tables(found.tables, out)
        click.echo(f"{out}: {len(found.tables)} tables with small counts in them, for internal use.", err=True)
    if as_json:
        _print_json(_records(shown, table))
        return
    click.echo(headline)
    if table is GAPS:
        shown = shown.loc[failing, ["county", "specialty", "status", "reason"]]
    if len(shown):
        click.echo(shown.to_string(index=False, justify="left"))


def _refuse_shared(out: Path | None, identified: bool, held: str) -> None:
    """Refuse to put what tells of single members among reports, which are de-identified, unless it is meant."""
    if out and not identified and "reports" in (part.casefold() for part in out.absolute().parts):
        raise ParameterError(f"{out} is for reports, and these hold {held}: choose another --out, or add --identified.")


def _split(npis: str | None) -> list[str]:
    return [npi.strip() for npi in (npis or "").split(",") if npi.strip()]


@main.command()
@data_option
@as_of_option
@click.option("--standards", metavar="NAME|FILE", help="Whose distance is searched: as of `sca gaps`.")
@click.option(
    "--collected",
    metavar="SHARE",
    default="1",
    show_default=True,
    help="Share of balance bills that providers collect (0 to 1).",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder that gets the tables, member ids in them: for internal use."
)
@identified_option
@engine_option
@json_option
def cases(
    data: Path,
    as_of: str | None,
    standards: str | None,
    collected: str,
    out: Path | None,
    identified: bool,
    engine: str,
    as_json: bool,
) -> None:
    """List the candidates for an SCA with their grounds, evidence, costs and range of rates, by rank."""
    from sca_analysis.cases import RANKING

    _refuse_shared(out, identified, "member ids")
    exports = Exports.open(data, engine)
    found = _find_cases(exports, as_of, standards, _parse_share(collected))
    for note in found.notes:
        click.echo(note, err=True)
    if out:
        from sca_analysis.saving import save_tables

        tables = {"cases": found.table, "evidence": found.evidence, "searched": found.searched}
        save_tables(tables, out)
        click.echo(f"{out}: {len(tables)} tables with member ids in them, for internal use.", err=True)
    if as_json:
        evidence = _by_case(_records(found.evidence, EVIDENCE))
        searched = _by_case(_records(found.searched, SEARCHED))
        rows = _records(found.table, CASES)
        _print_json(
            [
                r | {"evidence": evidence.get(r["case_id"], []), "providers_searched": searched.get(r["case_id"], [])}
                for r in rows
            ]
        )
        return
    click.echo(f"{len(found.table)} cases as of {found.as_of} ({found.standard}). {RANKING}\n")
    columns = ["rank", "case_id", "specialty", "county_fips", "state", "grounds", "visits", "at_stake", "rate_low"]
    shown = found.table[[*columns, "rate_high", "is_complete"]].assign(grounds=found.table["grounds"].replace("", "-"))
    if len(shown):
        click.echo(shown.to_string(index=False, justify="left", na_rep=""))


def _find_cases(exports: Exports, as_of: str | None, standards: str | None, collected: Decimal) -> "CaseList":
    from sca_analysis.cases import list_cases
    from sca_analysis.courses import Collection
    from sca_analysis.gaps import find_gaps
    from sca_analysis.network import choose_criteria

    day = _parse_date(as_of) if as_of else exports.last_day
    criteria = choose_criteria(exports, standards)
    return list_cases(exports, day, find_gaps(exports, day, criteria), criteria, Collection(balance_bill=collected))


@main.command()
@click.argument("case_id")
@data_option
@as_of_option
@click.option("--standards", metavar="NAME|FILE", help="Whose distance is searched: as of `sca gaps`.")
@click.option(
    "--for",
    "audience",
    type=click.Choice(["provider", "plan"]),
    default="provider",
    show_default=True,
    help="provider: what a practice may send; plan: with the plan's own figures.",
)
@click.option(
    "--template",
    type=click.Path(path_type=Path),
    help="A letter of your own: HTML with the variables of the packaged one.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write: .docx or .html.")
@identified_option
def dossier(
    case_id: str,
    data: Path,
    as_of: str | None,
    standards: str | None,
    audience: "Audience",
    template: Path | None,
    out: Path,
    identified: bool,
) -> None:
    """Write the request letter of CASE_ID with its evidence; `sca cases` lists the numbers."""
    from sca_analysis.dossier import write_dossier

    _refuse_shared(out, identified, "the patient's number")
    exports = Exports.open(data)
    found = _find_cases(exports, as_of, standards, Decimal(1))
    write_dossier(found, exports, case_id, out, audience=audience, template=template)
    complete = "" if found.find(case_id)["is_complete"] else " It is a draft: what is missing is listed at its end."
    click.echo(f"{out} holds the patient's number: send it as you send health data.{complete}", err=True)


def _by_case(records: list[dict[Any, Any]]) -> dict[str, list[dict[Any, Any]]]:
    """Return records by case_id, which each of them loses."""
    found: dict[str, list[dict[Any, Any]]] = {}
    for record in records:
        found.setdefault(record.pop("case_id"), []).append(record)
    return found


@main.command()
@click.argument("case", type=click.Path(path_type=Path))
@json_option
def quote(case: Path, as_json: bool) -> None:
    """Split one CASE visit by visit in-network, OON and under an SCA, with break-even rates."""
    from sca_analysis import quotes

    loaded = quotes.load_case(case)
    result = quotes.quote(loaded)
    if as_json:
        _print_json(result)
    else:
        click.echo(quotes.as_table(result, loaded))


@main.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--members", type=int, default=2000, show_default=True, help="Members to make up.")
@click.option("--seed", type=int, default=20260630, show_default=True, help="The same seed gives the same bytes.")
def sample(out: Path, members: int, seed: int) -> None:
    """Write synthetic exports of any size, with gaps, ghosts and bad rows planted and listed."""
    from sca_analysis.sample import write_sample

    with tqdm(total=members, unit="member", delay=2, disable=not sys.stdout.isatty()) as bar:
        write_sample(out, members, seed, progress=lambda done: bar.update(done - bar.n))
    click.echo(f"{out}")


def _parse_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ParameterError(f"{text!r} is no date: write it as YYYY-MM-DD, for example 2026-06-30.") from error


def _parse_share(text: str) -> Decimal:
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal(-1)
    if not (share.is_finite() and 0 <= share <= 1):
        raise ParameterError(f"{text!r} is no share: write a number from 0 to 1, for example 0.5.")
    return share


def _records(frame: pd.DataFrame, table: Table) -> list[dict[Any, Any]]:
    """Return rows for JSON: money as text with two decimals, shares and miles as numbers."""
    plain = frame.copy()
    for column in table.columns:
        if column.kind is ColumnKind.MONEY and column.name in plain:
            plain[column.name] = [None if pd.isna(v) else f"{v:.2f}" for v in plain[column.name]]
    records: list[dict[Any, Any]] = plain.to_dict("records")
    return records


def _print_json(value: object) -> None:
    click.echo(json.dumps(_plain(value), indent=1, ensure_ascii=False))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: dates as text, exact shares as numbers, blanks null."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, date | datetime):
        return value.isoformat()[:10]
    if isinstance(value, Decimal):
        return float(value)
    if value is None or pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
