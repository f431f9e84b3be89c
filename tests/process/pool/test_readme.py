"""The README's example runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import workerd_pool


def test_the_example_of_the_readme_squares_ten_numbers(tmp_path: Path) -> None:
    text = (Path(workerd_pool.__file__).parent / "README.md").read_text()
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", text, re.DOTALL)
    assert [name for name, _ in blocks] == ["jobs.py", "main.py"]
    for name, code in blocks:
        (tmp_path / name).write_text(code)
    ran = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert sorted(map(int, (line.split()[1] for line in ran.stdout.splitlines()))) == [
        n * n for n in range(10)
    ]
