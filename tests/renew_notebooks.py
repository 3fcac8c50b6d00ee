"""Run every notebook on the sample and keep the outputs of its checked cells alone.

`uv run python tests/renew_notebooks.py`: do it after a change that moves a checked figure, look
at what moved and why, and say so in the commit.
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CHECKED = "# NBVAL_CHECK_OUTPUT"


def keep_checked(notebook: nbformat.NotebookNode) -> None:
    """Clear the outputs, counts and timings of all cells but those that nbval compares."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        checked = cell.source.startswith(CHECKED)
        cell.outputs = cell.outputs if checked else []
        # nbval compares only cells that have a count; one that stays makes no diff
        cell.execution_count = 1 if checked else None
        for output in cell.outputs:
            output["execution_count"] = 1


if __name__ == "__main__":
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        book = nbformat.read(path, as_version=4)
        NotebookClient(book, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
        keep_checked(book)
        path.write_text(nbformat.writes(book).rstrip("\n") + "\n", encoding="utf-8")
