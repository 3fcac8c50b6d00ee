"""A pytest plugin for mutmut alone (see CONTRIBUTING.md), so that a mutant is judged by itself and found out soon.

Each run has a cache of its own: one mutant would else be given the tables that another has read. Worked examples come
before generated ones, of which the first that fails is enough: no smaller one is looked for.
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, is_hypothesis_test, settings

settings.register_profile(
    "mutation", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False
)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give the run a folder of its own, beside which tests/conftest.py puts the cache."""
    config.option.basetemp = str(Path(tempfile.mkdtemp(prefix="mutant-")) / "run")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the folder away."""
    shutil.rmtree(Path(config.option.basetemp).parent, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put generated examples last."""
    items.sort(key=lambda item: is_hypothesis_test(getattr(item, "obj", None)))
