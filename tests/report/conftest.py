import sys
from pathlib import Path

# `factories` lies beside the folders of the tests, which are not packages.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
