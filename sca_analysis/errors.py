"""Errors that are shown to a person as one sentence, without a traceback.

Anything else that is raised is a mistake of ours, not of the input.
"""


class SCAError(ValueError):
    """Base of all errors that the input, not the code, is the cause of.

    The message is one sentence: what is wrong, where (file, column, row), what to do.
    It never holds a value of a row, since a value may identify a member.
    """


class ExportError(SCAError):
    """An exports folder, its exports.yaml or one of its files cannot be used."""


class CaseError(SCAError):
    """A case file lacks a field or contradicts itself; the message names the field."""


class ParameterError(SCAError):
    """A parameter (month, date, number of members) is not usable."""


class ReportError(SCAError):
    """The monthly report could not be made; the last good one is left as it was."""
