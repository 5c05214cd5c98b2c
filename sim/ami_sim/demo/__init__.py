"""What a demonstration leaves behind: its record, the control rows beside it, the report and the film."""
