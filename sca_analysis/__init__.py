"""Analysis of single case agreements (SCAs): gaps, candidates, costs and a monthly report."""
