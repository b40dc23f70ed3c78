"""Reports of one or more runs: comparison, tables, figures, Markdown."""
