"""`ami eval`: suites of held-out episodes, rows beside control rows, results with intervals, a page with films."""
