"""`ami ...`: one file a verb."""
