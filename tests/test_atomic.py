"""Files are written whole or not at all."""

import pytest

from atrous._atomic import replacing


def test_files_are_replaced_together(tmp_path):
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    a.write_text("old")
    with replacing(a, b) as partials:
        for partial in partials:
            partial.write_text("new")
        assert a.read_text() == "old"
        assert not b.exists()
    assert (a.read_text(), b.read_text()) == ("new", "new")
    assert sorted(tmp_path.iterdir()) == [a, b]


def test_an_error_leaves_what_was_there(tmp_path):
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    a.write_text("old")

    def fail():
        with replacing(a, b) as (first, _):
            first.write_text("ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert a.read_text() == "old"
    assert list(tmp_path.iterdir()) == [a]
