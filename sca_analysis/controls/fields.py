"""Parts that the widgets are made of: fields that refuse nonsense, names for screen readers, links, a style."""

import asyncio
import base64
from collections.abc import Callable, Mapping
from decimal import Decimal
from html import escape
from typing import Any

import anywidget
import ipywidgets as widgets  # type: ignore[import-untyped]
import traitlets

from sca_analysis.errors import SCAError

#: Rest of the slider after which ranges and files follow [s]: they take longer than a frame may.
REST = 0.25
STYLE = """<style>
.sca-what-if { --sca-line: #767676; }
.sca-what-if h3 { margin: 0.5em 0 0.1em; font-size: 1.05em; line-height: 1.3; }
.sca-figure-case > div, .sca-figure-portfolio > div { width: 100%; }
.sca-what-if p { margin: 0.2em 0; }
.sca-what-if table { border-collapse: collapse; margin: 0.3em 0 0.8em; font-variant-numeric: tabular-nums; }
.sca-what-if caption { text-align: left; color: var(--jp-ui-font-color1, #333); padding-bottom: 0.2em; }
.sca-what-if caption, .sca-what-if th, .sca-what-if td { line-height: 1.3; font-size: 0.95em; }
.sca-what-if th, .sca-what-if td { padding: 0.15em 0.6em; text-align: right; border-bottom: 1px solid #ccc; }
.sca-what-if th:first-child, .sca-what-if td:first-child { text-align: left; }
.sca-what-if .sca-refused { color: var(--jp-error-color1, #a40000); margin: 0 0 0.3em; line-height: 1.3; }
.sca-what-if .sca-finding { font-size: 1.1em; line-height: 1.45; margin: 0.2em 0 0.6em; }
.sca-what-if .sca-note { color: var(--jp-ui-font-color1, #333); font-size: 0.95em; line-height: 1.35; }
.sca-what-if a.sca-link { display: inline-block; padding: 0.25em 0.8em; border: 1px solid var(--sca-line);
  border-radius: 3px; margin-right: 0.5em; text-decoration: underline; color: #0b4f8a; background: #fff; }
.sca-what-if :focus-visible { outline: 3px solid #0072B2; outline-offset: 1px; }
.sca-what-if .widget-label { color: var(--jp-ui-font-color1, #222); }
</style>"""


class Names(anywidget.AnyWidget):
    """Give handles of sliders the names that a screen reader says; ipywidgets gives them none."""

    _esm = """
    function render({ model, el }) {
      const name = () => {
        for (const [key, text] of Object.entries(model.get("names"))) {
          const handles = document.querySelectorAll(`.${key} .noUi-handle`);
          for (const handle of handles) handle.setAttribute("aria-label", text);
        }
      };
      el.style.display = "none";
      let timer;
      const watch = new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(name, 100); });
      watch.observe(document.body, { childList: true, subtree: true });
      name();
      return () => watch.disconnect();
    }
    export default { render };
    """
    names = traitlets.Dict().tag(sync=True)


class Field:
    """A value that can be typed and, with a slider, moved; nonsense is refused beside it and the last value stays."""

    def __init__(
        self,
        label: str,
        read: Callable[[str], Any],
        show: Callable[[Any], str],
        slider: widgets.Widget | None = None,
        hint: str = "",
    ) -> None:
        """Make the field; ``read`` turns text into a value or raises ``SCAError``, ``show`` turns it back."""
        self.label = label
        self.value: Any = None
        self._read, self._show, self._slider = read, show, slider
        self._changed: Callable[[], None] = lambda: None
        self._is_quiet = False
        self.text = widgets.Text(
            description=label,
            placeholder=hint,
            continuous_update=False,
            style={"description_width": "185px"},
            layout=widgets.Layout(width="305px"),
        )
        self.refused = widgets.HTML()
        self.text.observe(self._typed, "value")
        row = [self.text]
        if slider is not None:
            slider.observe(self._moved, "value")
            row.append(slider)
        self.box = widgets.VBox([widgets.HBox(row, layout=widgets.Layout(flex_flow="row wrap")), self.refused])

    def on_change(self, act: Callable[[], None]) -> None:
        """Call ``act`` whenever a person sets another value."""
        self._changed = act

    def set(self, value: Any) -> None:
        """Show a value without calling anybody."""
        self._is_quiet = True
        self.value, self.text.value, self.refused.value = value, self._show(value), ""
        if self._slider is not None and value is not None:
            number = self._place(value)
            self._slider.max = max(self._slider.max, number)
            self._slider.value = number
        self._is_quiet = False

    def _place(self, value: Any) -> Any:
        """Return where the slider stands for a value: on one of its steps, as the browser would move it."""
        assert self._slider is not None  # noqa: S101 - asked for sliders only
        step = Decimal(str(self._slider.step))
        return type(self._slider.value)(round(value / step) * step)

    def _typed(self, change: Mapping[str, Any]) -> None:
        if self._is_quiet:
            return
        try:
            value = self._read(change["new"])
        except SCAError as error:
            self.refused.value = f'<p class="sca-refused" role="alert">{escape(str(error))} Not changed.</p>'
            return
        self.set(value)
        self._changed()

    def _moved(self, change: Mapping[str, Any]) -> None:
        # the browser tells where a typed value put the handle, and it reckons in binary: 142.99999999999997
        moved = self._place(Decimal(str(change["new"])))
        if self._is_quiet or (self.value is not None and moved == self._place(self.value)):
            return
        value = moved
        if isinstance(moved, float):
            value = Decimal(int(moved)) if moved.is_integer() else Decimal(str(moved))
        self._is_quiet = True
        self.value, self.text.value, self.refused.value = value, self._show(value), ""
        self._is_quiet = False
        self._changed()


class Later:
    """Do something once nothing has happened for a while; at once where no event loop runs (a script, a test)."""

    def __init__(self, act: Callable[[], None]) -> None:
        """Say what is to be done."""
        self._act = act
        self._timer: asyncio.TimerHandle | None = None

    def call(self) -> None:
        """Start to wait, or wait again."""
        if self._timer is not None:
            self._timer.cancel()
        try:
            self._timer = asyncio.get_running_loop().call_later(REST, self._act)
        except RuntimeError:
            self._act()


def head(words: str) -> widgets.HTML:
    """Return a heading."""
    return widgets.HTML(f"<h3>{escape(words)}</h3>")


def refusal(sentence: str) -> str:
    """Return a sentence that a screen reader says at once."""
    return f'<p class="sca-refused" role="alert">{escape(sentence)}</p>'


def reader(read: Callable[[str, str], Any], label: str) -> Callable[[str], Any]:
    """Return a reader of ``entries`` that names the field."""
    return lambda text: read(text, label)


def short_number(value: Decimal | None) -> str:
    """Return a number as it is typed; blank: there is none."""
    return "" if value is None else f"{value:f}"


def link(text: str, name: str, kind: str, words: str, label: str = "") -> str:
    """Return a link that saves a file without asking any server."""
    data = base64.b64encode(text.encode()).decode()
    spoken = f' aria-label="{escape(label)}"' if label else ""
    return f'<a class="sca-link" download="{name}" href="data:{kind};base64,{data}"{spoken}>{escape(words)}</a>'
