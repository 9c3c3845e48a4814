"""What the README says must hold: its code runs, its output is what comes out, its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(
    "code", BLOCKS, ids=["convolution", "gradient check", "dense CRF", "training", "the trained network"]
)
def test_code_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_the_planted_mistake_gets_the_answer_that_is_printed():
    code = BLOCKS[1].replace("x.T @ dy", "x.T @ dy / 4")
    with pytest.raises(AssertionError) as error:
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    printed = re.search(r"```text\n(.*?)```", TEXT, re.DOTALL).group(1).splitlines()
    said = str(error.value).splitlines()
    volatile = re.compile(r"largest error [\d.e+-]+ absolute, [\d.e+-]+ relative")
    for shown, real in zip(printed, said, strict=False):
        if "numeric by step" not in shown:
            assert volatile.sub("", shown) == volatile.sub("", real)


def test_links_lead_to_files():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).exists()] == []


HOW_TO = (ROOT / "notebooks" / "CRF_HOW_TO.md").read_text(encoding="utf-8")


def test_how_tos_run_and_their_links_lead_to_files():
    names = {"__name__": "how to"}
    blocks = re.findall(r"```python\n(.*?)```", HOW_TO, re.DOTALL)
    assert len(blocks) == 3
    for code in blocks:
        exec(compile(code, "CRF_HOW_TO.md", "exec"), names)
    assert names["segmented"].shape == names["volume"].shape
    links = [link for link in re.findall(r"\]\(([^)]+)\)", HOW_TO) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / "notebooks" / link).exists()] == []


def test_ci_runs_the_test_command_of_the_readme():
    command = 'pip install -e ".[test]" && pytest'
    assert command in TEXT
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 'pip install -q -e ".[test]" && pytest || exit 1\n' in script
