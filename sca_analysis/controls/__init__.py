"""Widgets of the what-if notebook: a fee talk on one case, and one basis for all open cases.

In: a case file and a ``CaseLibrary``, or a ``Portfolio``. Out: widgets, alike in JupyterLab and under Voila. All
figures come from ``what_if`` and ``portfolio``; this package only lays out, reads what is typed and redraws.
"""

from sca_analysis.controls.fee_talk import FeeTalk
from sca_analysis.controls.portfolio_talk import PortfolioTalk

__all__ = ["FeeTalk", "PortfolioTalk"]
