"""The fee talk on one case: choose it, change it, see at once what each side pays or gets, keep and export."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ipywidgets as widgets  # type: ignore[import-untyped]

from sca_analysis import casefile, entries, fee_charts, what_if
from sca_analysis.case_library import CaseLibrary, pick, type_case
from sca_analysis.controls.chart import Chart, framed
from sca_analysis.controls.fields import STYLE, Field, Later, Names, head, link, reader, refusal, short_number
from sca_analysis.errors import SCAError
from sca_analysis.fee_words import describe_marks, describe_outcome, tabulate_kept, tabulate_rates, tabulate_totals
from sca_analysis.kept import Kept, as_csv, as_file, keep
from sca_analysis.scenarios import Basis
from sca_analysis.what_if import Anchors, Inputs, Outcome, TierInputs

#: Courses offered at once: a longer list is no help to a person, and slow in a browser.
MOST_OFFERED = 200
_OON_BASES: dict[str, Any] = {
    "as the case has it": None,
    "an amount a unit [USD]": "amount",
    "% of Medicare": "percent_of_medicare",
    "% of the charge": "percent_of_billed",
    "percentile of charges (50, 80 or 90)": "percentile_of_charges",
}


class FeeTalk:
    """The fee talk on one case: choose it, change it, see what each side pays or gets, keep scenarios, export.

    Attributes
    ----------
    box : Widget
        What a notebook shows.
    content : dict
        The case as it is now, as a file has it.
    outcome : Outcome
    kept : list of Kept

    """

    def __init__(self, case: str | Path, anchors: Anchors, library: CaseLibrary | None = None) -> None:
        """Start with a case file; ``library`` has the courses that may be chosen instead."""
        self._library = library
        self._given: Mapping[str, Any] = casefile.read_file(case)
        self._first = self._given, anchors
        self._anchors = anchors
        self._is_loading = False
        self.content: dict[str, Any] = dict(self._given)
        self.kept: list[Kept] = []
        self.outcome: Outcome = what_if.measure(self._given, anchors)
        self._ranges: what_if.Ranges | None = what_if.find_ranges(self._given)
        self._make_fields()
        self._make_outputs()
        self._settle_later = Later(self._settle)
        self.box = self._lay_out(Path(case).name)
        self._load(self._given, anchors)

    def _make_fields(self) -> None:
        amount, percent = entries.read_optional_amount, entries.read_optional_percent

        def slider(most: float, step: float) -> widgets.FloatSlider:
            return widgets.FloatSlider(min=0, max=most, step=step, readout=False, layout=widgets.Layout(width="190px"))

        self._fee_slider = slider(100, 1)
        self._visits_slider = widgets.IntSlider(min=1, max=52, readout=False, layout=widgets.Layout(width="190px"))
        sliders = {"cost_share": slider(100, 1), "balance_bill": slider(100, 1)}
        self._sliders = {"fee": self._fee_slider, "visits": self._visits_slider, **sliders}
        self._fields: dict[str, Field] = {
            "fee": Field("Fee", self._read_fee, lambda v: "" if v is None else f"{v:.2f}", self._fee_slider),
            "visits": Field("Visits", lambda t: entries.read_count(t, "Visits"), str, self._visits_slider),
            "sessions": Field(
                "Sessions authorised",
                lambda t: entries.read_optional_count(t, "Sessions authorised"),
                lambda v: "" if v is None else str(v),
                hint="no limit",
            ),
            "cost_share": Field(
                "Cost share collected [%]",
                lambda t: entries.read_percent(t, "Cost share collected"),
                short_number,
                sliders["cost_share"],
            ),
            "balance_bill": Field(
                "Balance bill collected [%]",
                lambda t: entries.read_percent(t, "Balance bill collected"),
                short_number,
                sliders["balance_bill"],
            ),
        }
        for tier, words in (("in_network", "In-network"), ("out_of_network", "OON")):
            for field, name, read in (
                ("deductible", "deductible", amount),
                ("coinsurance", "coinsurance [%]", percent),
                ("copay", "copay", amount),
                ("out_of_pocket_max", "maximum", amount),
            ):
                label = f"{words} {name}"
                self._fields[f"{tier}_{field}"] = Field(label, reader(read, label), short_number, hint="none")
        self._has_oon = widgets.Checkbox(description="Plan has OON benefits", indent=False)
        self._basis = widgets.Dropdown(
            options=list(_OON_BASES), description="OON allowed", style={"description_width": "185px"}
        )
        self._basis.layout.width = "420px"
        self._fields["basis"] = Field("OON allowed, figure", self._read_basis, short_number, hint="as given")
        for slide_name, one in self._sliders.items():
            one.add_class(f"sca-slider-{slide_name}")
        for one in self._fields.values():
            one.on_change(self._refresh)
        self._fields["fee"].on_change(self._move_fee)
        self._has_oon.observe(lambda _: self._refresh(), "value")
        self._basis.observe(self._choose_basis, "value")

    def _make_outputs(self) -> None:
        self._finding, self._problem, self._totals, self._rates, self._notes = (widgets.HTML() for _ in range(5))
        self._kept_table, self._files, self._chosen, self._typed_problem = (widgets.HTML() for _ in range(4))
        self._figure = fee_charts.new_figure(self.outcome, self._ranges)
        self._chart = Chart(label="Charts of the case")
        self._chart.show(self._figure)
        self._plot = framed(self._chart, "case")
        self._names = Names(
            names={
                "sca-slider-fee": "Fee",
                "sca-slider-visits": "Visits",
                "sca-slider-cost_share": "Cost share collected, percent",
                "sca-slider-balance_bill": "Balance bill collected, percent",
            }
        )

    def _lay_out(self, file_name: str) -> widgets.Widget:
        f = self._fields
        inputs = widgets.VBox(
            [
                head("Fee and visits"),
                f["fee"].box,
                f["visits"].box,
                f["sessions"].box,
                head("What the provider collects"),
                f["cost_share"].box,
                f["balance_bill"].box,
                head("OON allowed amount"),
                self._basis,
                f["basis"].box,
                head("Benefits"),
                *(f[f"in_network_{n}"].box for n in ("deductible", "coinsurance", "copay", "out_of_pocket_max")),
                self._has_oon,
                *(f[f"out_of_network_{n}"].box for n in ("deductible", "coinsurance", "copay", "out_of_pocket_max")),
            ],
            layout=widgets.Layout(flex="0 0 510px", max_width="100%"),
        )
        outputs = widgets.VBox(
            [
                self._problem,
                self._finding,
                self._totals,
                self._plot,
                self._notes,
                self._rates,
                head("Scenarios kept side by side"),
                self._make_keeper(),
                self._kept_table,
                self._files,
            ],
            layout=widgets.Layout(flex="1 1 620px", min_width="0", padding="0 0 0 24px"),
        )
        both = widgets.HBox([inputs, outputs], layout=widgets.Layout(flex_flow="row wrap", align_items="flex-start"))
        chooser = self._make_chooser(file_name)
        box = widgets.VBox([widgets.HTML(STYLE), head("Case"), chooser, self._chosen, both, self._names])
        box.add_class("sca-what-if")
        return box

    def _make_chooser(self, file_name: str) -> widgets.Widget:
        wide: dict[str, Any] = {"style": {"description_width": "70px"}}
        self._upload = widgets.FileUpload(
            accept=".json,.yaml,.yml", description="Load a case file", layout=widgets.Layout(width="auto")
        )
        self._upload.observe(self._load_upload, "value")
        back = widgets.Button(description=f"Use {file_name}", layout=widgets.Layout(width="auto"))
        back.on_click(lambda _: self._load(*self._first))
        parts: list[widgets.Widget] = []
        if self._library is not None and len(self._library.table):
            table = self._library.table
            self._specialty = widgets.Dropdown(
                options=["all", *sorted(table["specialty"].unique())],
                description="Specialty",
                **wide,
                layout=widgets.Layout(width="300px"),
            )
            self._county = widgets.Dropdown(
                options=["all", *sorted(table["county"].unique())],
                description="County",
                **wide,
                layout=widgets.Layout(width="270px"),
            )
            self._course = widgets.Dropdown(
                options=[("choose a course", "")], description="Course", **wide, layout=widgets.Layout(width="520px")
            )
            self._number = widgets.Text(
                description="or number",
                placeholder="C00001",
                continuous_update=False,
                **wide,
                layout=widgets.Layout(width="180px"),
            )
            self._offered = widgets.HTML()
            for one in (self._specialty, self._county):
                one.observe(lambda _: self._offer(), "value")
            self._course.observe(lambda change: self._pick(change["new"]), "value")
            self._number.observe(lambda change: self._pick(change["new"]), "value")
            self._offer()
            wrap = widgets.Layout(flex_flow="row wrap")
            chosen = [self._specialty, self._county, self._course, self._number]
            parts = [widgets.HBox(chosen, layout=wrap), self._offered]
        typed = self._make_typed_case()
        row = widgets.HBox([back, self._upload, self._fold], layout=widgets.Layout(flex_flow="row wrap"))
        return widgets.VBox([*parts, row, typed])

    def _make_typed_case(self) -> widgets.Widget:
        amount = entries.read_amount
        self._new = {
            "charge": Field("Charge a session", reader(amount, "Charge"), short_number),
            "in_network_rate": Field("In-network rate", reader(amount, "In-network rate"), short_number),
            "out_of_network_allowed": Field("OON allowed", reader(amount, "OON allowed"), short_number),
            "visits": Field("Number of visits", reader(entries.read_count, "Number of visits"), str),
            "days_between": Field("Days between visits", reader(entries.read_count, "Days between visits"), str),
            "first": Field("First visit", entries.read_day, str),
        }
        shown = {"charge": "210", "in_network_rate": "118", "out_of_network_allowed": "150"}
        for name, text in shown.items():
            self._new[name].set(Decimal(text))
        self._new["visits"].set(24)
        self._new["days_between"].set(7)
        self._new["first"].set(date(date.today().year, 1, 5))
        use = widgets.Button(description="Use this case", button_style="primary")
        use.on_click(lambda _: self._use_typed())
        fields = widgets.VBox(
            [
                widgets.HTML('<p class="sca-note">One session rate; the benefits are those set below.</p>'),
                *(field.box for field in self._new.values()),
                use,
                self._typed_problem,
            ]
        )
        # a button, since the headings of ipywidgets' Accordion cannot be reached by keyboard
        self._fold = widgets.ToggleButton(description="Type in a case", icon="caret-down")
        self._fold.observe(lambda change: setattr(fields.layout, "display", "" if change["new"] else "none"), "value")
        fields.layout.display = "none"
        return fields

    def _make_keeper(self) -> widgets.Widget:
        self._name = widgets.Text(
            description="Name", placeholder="scenario 1", style={"description_width": "60px"}, continuous_update=True
        )
        self._keep_problem = widgets.HTML()
        keep_it = widgets.Button(description="Keep this scenario", button_style="primary")
        clear = widgets.Button(description="Clear all")
        keep_it.on_click(lambda _: self._keep())
        clear.on_click(lambda _: self._clear())
        row = widgets.HBox([self._name, keep_it, clear], layout=widgets.Layout(flex_flow="row wrap"))
        return widgets.VBox([row, self._keep_problem])

    def _offer(self) -> None:
        """List the courses of the specialty and county chosen."""
        assert self._library is not None  # noqa: S101 - only then is there a chooser
        table = self._library.table
        for column, chosen in (("specialty", self._specialty.value), ("county", self._county.value)):
            if chosen != "all":
                table = table[table[column] == chosen]
        few = table.head(MOST_OFFERED)
        self._is_loading, was = True, self._is_loading
        self._course.options = [
            ("choose a course", ""),
            *(
                (f"{course}: {specialty}, {county}, {visits} visits", course)
                for course, specialty, visits, county in few.itertuples(index=False, name=None)
            ),
        ]
        self._is_loading = was
        rest = "" if len(few) == len(table) else " Narrow by specialty or county, or type a number."
        self._offered.value = (
            f'<p class="sca-note">{len(few):,} of {len(table):,} courses are listed, the most billed first.{rest}</p>'
        )

    def _pick(self, course: str) -> None:
        if self._is_loading or not course.strip() or self._library is None:
            return
        try:
            content, anchors = pick(self._library, course.strip().upper())
            self._load(content, anchors)
        except SCAError as error:
            self._refuse(error)

    def _load_upload(self, change: Mapping[str, Any]) -> None:
        if not change["new"]:
            return
        given = change["new"][0]
        try:
            with TemporaryDirectory() as folder:
                path = Path(folder) / Path(given["name"]).name
                path.write_bytes(bytes(given["content"]))
                content = casefile.read_file(path)
            casefile.read_case(content, path.name)
            self._load(content, Anchors())
        except SCAError as error:
            self._refuse(error)

    def _use_typed(self) -> None:
        benefits = self.content["benefits"]
        try:
            wrong = [field.label for field in self._new.values() if field.refused.value]
            if wrong:
                self._typed_problem.value = refusal(f"{wrong[0]} is not usable: correct it first.")
                return
            typed: dict[str, Any] = {name: field.value for name, field in self._new.items()}
            content = type_case(**typed, benefits=benefits)
            self._typed_problem.value = ""
            self._load(content, Anchors())
        except SCAError as error:
            self._typed_problem.value = refusal(str(error))

    def _load(self, content: Mapping[str, Any], anchors: Anchors) -> None:
        """Make a case the one that is talked about, as it is."""
        inputs = what_if.read_inputs(content)
        outcome = what_if.measure(content, anchors)
        self._given, self._anchors = content, anchors
        self._is_loading = True
        self._has_one_fee = inputs.fee is not None
        charge = max((visit.at(outcome.case.billed_per_unit) for visit in outcome.case.visits), default=0)
        self._fee_slider.step = 0.5 if outcome.is_percent else 1
        self._fee_slider.max = 100 if outcome.is_percent else max(1.0, charge / 100)
        self._visits_slider.max = max(52, 2 * inputs.visits)
        f = self._fields
        f["fee"].label = "Fee"
        f["fee"].text.description = "Fee [% of charges]" if outcome.is_percent else "Fee [USD a unit]"
        f["fee"].set(outcome.fee)
        for name in ("visits", "sessions", "cost_share", "balance_bill"):
            f[name].set(getattr(inputs, name))
        f["sessions"].text.disabled = len(outcome.case.terms) > 1
        for tier in ("in_network", "out_of_network"):
            given = getattr(inputs, tier) or TierInputs(Decimal(0), Decimal(100), None, None)
            for name in ("deductible", "coinsurance", "copay", "out_of_pocket_max"):
                f[f"{tier}_{name}"].set(getattr(given, name))
        self._has_oon.value = inputs.out_of_network is not None
        self._basis.value = "as the case has it"
        f["basis"].set(None)
        name = escape(str(content.get("name") or "without a name"))
        why = escape(str(content.get("why") or ""))
        self._chosen.value = f'<p class="sca-note"><b>Now: {name}.</b> {why}</p>'
        self._is_loading = False
        self._refresh()

    def _move_fee(self) -> None:
        """From now on one fee holds for all visits; until then each has the rate that the case gives it."""
        self._has_one_fee = True
        self._refresh()

    def _read_fee(self, text: str) -> Decimal:
        return entries.read_percent(text, "Fee") if self.outcome.is_percent else entries.read_amount(text, "Fee")

    def _read_basis(self, text: str) -> Decimal | None:
        basis = _OON_BASES[self._basis.value]
        if basis is None:
            return None
        if basis == "percentile_of_charges":
            return Decimal(entries.read_percentile(text, tuple(self._anchors.charge_percentiles)))
        if basis == "amount":
            return entries.read_amount(text, "OON allowed")
        return entries.read_percent(text, "OON allowed", most=1000)

    def _choose_basis(self, change: Mapping[str, Any]) -> None:
        if self._is_loading:
            return
        likely = {"percent_of_medicare": 140, "percent_of_billed": 70, "percentile_of_charges": 80}
        basis = _OON_BASES[change["new"]]
        start: Any = likely.get(basis)
        if basis == "amount":
            allowed = next((at.rate for at in self.outcome.rates if at.rate_of == "OON allowed"), Decimal(100))
            start = Decimal(100) if self.outcome.is_percent else allowed
        self._fields["basis"].set(None if start is None else Decimal(start))
        self._refresh()

    def _read_inputs(self) -> Inputs:
        f = {name: field.value for name, field in self._fields.items()}
        tiers = {
            tier: TierInputs(
                *(f[f"{tier}_{name}"] for name in ("deductible", "coinsurance", "copay", "out_of_pocket_max"))
            )
            for tier in ("in_network", "out_of_network")
        }
        basis = _OON_BASES[self._basis.value]
        chosen = None
        if basis == "amount":
            chosen = Basis(basis=basis, amount=f["basis"])
        elif basis == "percentile_of_charges":
            chosen = Basis(basis=basis, percentile=int(f["basis"]))
        elif basis is not None:
            chosen = Basis(basis=basis, percent=f["basis"])
        return Inputs(
            fee=f["fee"] if self._has_one_fee else None,
            visits=f["visits"],
            sessions=f["sessions"],
            cost_share=f["cost_share"],
            balance_bill=f["balance_bill"],
            in_network=tiers["in_network"],
            out_of_network=tiers["out_of_network"] if self._has_oon.value else None,
            oon_basis=chosen,
        )

    def _refresh(self) -> None:
        """Reckon with what is set now and redraw; if that cannot be, say why and leave the last figures."""
        if self._is_loading:
            return
        try:
            content = what_if.change(self._given, self._read_inputs(), self._anchors)
            outcome = what_if.measure(content, self._anchors)
        except SCAError as error:
            self._refuse(error)
            return
        self.content, self.outcome, self._ranges = content, outcome, None
        self._problem.value = ""
        self._show()
        self._settle_later.call()

    def _refuse(self, error: SCAError) -> None:
        self._problem.value = refusal(f"{error} The figures below are those before.")

    def _show(self) -> None:
        outcome = self.outcome
        self._draw()  # first: the page draws while the words are made
        self._finding.value = describe_outcome(outcome, self._anchors)
        self._totals.value = tabulate_totals(outcome, self._ranges)
        self._rates.value = tabulate_rates(outcome)
        self._notes.value = describe_marks(outcome)

    def _draw(self) -> None:
        fee_charts.move_figure(self._figure, self.outcome, self._ranges)
        self._chart.show(self._figure)

    def _settle(self) -> None:
        """Draw what takes longer than a frame: ranges, files, names for screen readers."""
        try:
            self._ranges = what_if.find_ranges(self.content)
        except SCAError as error:
            self._refuse(error)
            return
        self._draw()
        self._totals.value = tabulate_totals(self.outcome, self._ranges)
        self._show_files()

    def _show_files(self) -> None:
        now = link(as_file(self.content), "case.json", "application/json", "Export this case (JSON)")
        table = link(as_csv(self.kept), "scenarios.csv", "text/csv", "Export the table (CSV)") if self.kept else ""
        self._files.value = f"<p>{now}{table}</p>"

    def _show_kept(self) -> None:
        links = [
            link(as_file(one.content), f"case_{number}.json", "application/json", "case", f"case file of {one.name}")
            for number, one in enumerate(self.kept, 1)
        ]
        self._kept_table.value = tabulate_kept(self.kept, links)
        self._name.placeholder = f"scenario {len(self.kept) + 1}"
        self._show_files()

    def _keep(self) -> None:
        try:
            self.kept = keep(self.kept, self._name.value, self.content, self.outcome, self._anchors)
            self._keep_problem.value, self._name.value = "", ""
        except SCAError as error:
            self._keep_problem.value = refusal(str(error))
        self._show_kept()

    def _clear(self) -> None:
        self.kept, self._keep_problem.value = [], ""
        self._show_kept()
