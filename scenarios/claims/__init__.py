"""Claims judged by their runs, one after another or all."""
