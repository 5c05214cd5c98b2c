import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # `python -m pytest` has it there already, `pytest` has not
