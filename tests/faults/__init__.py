"""The fault matrix: what is expected of a pair under each fault, said before the run and judged after it.

`case.py` says what a case is, `cases/` are the cases, `expect.py` judges, `runner.py` runs one on the lab, `results.py`
counts. The command line is `python -m tests.faults`.
"""
