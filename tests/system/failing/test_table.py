"""The table of docs/hard-use.md, held against the tests."""

import re

from tests.system.replicas.processes import ROOT
from tests.system.test_security_docs import names_in

PAGE = (ROOT / "docs" / "hard-use.md").read_text("utf-8")
SECTION = PAGE.partition("## When a part fails")[2].partition("\n## ")[0]
ROW = re.compile(r"^\| .+? \| .+? \| .+? \| .+? \| .+? \| \[`(\w+)`\]\(\.\./tests/(.+?)\) \|$", re.MULTILINE)
HERE = ("disks", "logs", "clocks", "resources")
"""Every test of these files has its row."""


def test_every_row_has_its_test_and_every_test_its_row() -> None:
    rows = ROW.findall(SECTION)
    assert len(rows) == SECTION.count("](../tests/") > 30
    for test, file in rows:
        assert test in names_in(file), test
    for name in HERE:
        file = f"system/failing/test_{name}.py"
        assert names_in(file) == {test for test, where in rows if where == file}
