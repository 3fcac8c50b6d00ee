"""A plotly figure in a notebook that is drawn anew as a whole, whenever it changes.

Plotly's own FigureWidget sends what has changed; one such message that reaches it before it has drawn itself, as on a
busy machine, stops it for good. This one holds the whole figure, and draws the latest.
"""

import json
from functools import cache
from pathlib import Path

import anywidget
import ipywidgets as widgets  # type: ignore[import-untyped]
import traitlets

from sca_analysis import fee_charts


class Library(anywidget.AnyWidget):
    """Plotly's script, which charts share: 5 MB that are sent once."""

    _esm = f"{fee_charts.load_script()}\nexport default {{}};"


class Chart(anywidget.AnyWidget):
    """One figure; ``label`` is what a screen reader says of it."""

    _esm = Path(__file__).with_name("chart.js")
    figure = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)

    def show(self, figure: fee_charts.Figure) -> None:
        """Draw a figure."""
        self.figure = json.dumps(figure, allow_nan=False)


@cache
def library() -> Library:
    """Return the script, the same for all charts of a notebook."""
    return Library(layout=widgets.Layout(display="none"))


def framed(chart: Chart, name: str) -> widgets.Widget:
    """Return a chart as wide as it may be, of the class ``sca-figure-NAME``."""
    box = widgets.Box([chart, library()], layout=widgets.Layout(width="100%", overflow="hidden"))
    box.add_class(f"sca-figure-{name}")
    return box
