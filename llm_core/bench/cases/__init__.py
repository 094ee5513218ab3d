"""The cases of a bench: each file measures one line or two of the table, with `SUMMARY`, `QUICK` (measured when nobody
chooses) and `measure(bench) -> list[Row]`; a case's name is its file's, "-" for "_"."""
