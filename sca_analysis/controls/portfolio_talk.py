"""One basis for the agreements of all open cases: what it does to plan, members and providers, by specialty."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import ipywidgets as widgets  # type: ignore[import-untyped]

from sca_analysis import entries, fee_charts
from sca_analysis.controls.chart import Chart, framed
from sca_analysis.controls.fields import STYLE, Field, Names, short_number
from sca_analysis.fee_words import describe_effect, describe_left_out, tabulate_effect
from sca_analysis.portfolio import BASES, Portfolio, count_left_out, pay_at


class PortfolioTalk:
    """One basis for the agreements of all open cases; ``box`` is what a notebook shows."""

    def __init__(self, portfolio: Portfolio, percent: int = 150) -> None:
        """Start at a percentage of Medicare."""
        self._portfolio = portfolio
        self._basis = widgets.Dropdown(
            options=[(words, basis) for basis, words in BASES.items()],
            description="Pay at",
            style={"description_width": "185px"},
            layout=widgets.Layout(width="560px"),
        )
        self._slider = widgets.FloatSlider(min=0, max=300, step=1, readout=False, layout=widgets.Layout(width="300px"))
        self._slider.add_class("sca-slider-percent")
        self._percent = Field("Percentage [%]", self._read, short_number, self._slider)
        self._percent.set(Decimal(percent))
        self.effect = pay_at(portfolio, self._basis.value, Decimal(percent))
        self._finding, self._table, self._left = (widgets.HTML() for _ in range(3))
        self._figure = fee_charts.new_portfolio_figure(self.effect)
        self._chart = Chart(label="Changes by specialty")
        self._chart.show(self._figure)
        plot = framed(self._chart, "portfolio")
        names = Names(names={"sca-slider-percent": "Percentage"})
        self._basis.observe(self._choose, "value")
        self._percent.on_change(self._show)
        self.box = widgets.VBox(
            [
                widgets.HTML(STYLE),
                self._basis,
                self._percent.box,
                self._finding,
                self._left,
                plot,
                self._table,
                names,
            ]
        )
        self.box.add_class("sca-what-if")
        self._show()
        self._show_left()

    def _most(self) -> int:
        return 100 if self._basis.value == "way_to_usual_charge" else 1000

    def _read(self, text: str) -> Decimal:
        return entries.read_percent(text, "Percentage", most=self._most())

    def _choose(self, change: Mapping[str, Any]) -> None:
        start = {"percent_of_medicare": 150, "percent_of_usual_charge": 80, "way_to_usual_charge": 50}[change["new"]]
        self._slider.max = 300 if change["new"] == "percent_of_medicare" else 100
        self._percent.set(Decimal(start))
        self._show()
        self._show_left()

    def _show(self) -> None:
        basis, percent = self._basis.value, self._percent.value
        self.effect = pay_at(self._portfolio, basis, percent)
        fee_charts.move_portfolio_figure(self._figure, self.effect)
        self._chart.show(self._figure)  # first: the page draws while the words are made
        self._finding.value = describe_effect(self.effect, basis, percent)
        self._table.value = tabulate_effect(self.effect)

    def _show_left(self) -> None:
        """Say which courses are not priced at this basis, at whatever percentage."""
        self._left.value = describe_left_out(count_left_out(self._portfolio, self._basis.value))
