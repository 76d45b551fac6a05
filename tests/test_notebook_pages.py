"""Notebooks as pages of the site."""

from __future__ import annotations

import base64

import pytest

from scripts.notebook_pages import page_of


def cell(source, *outputs, kind="code"):
    return {"cell_type": kind, "source": source, "outputs": list(outputs)}


def shown(*cells):
    return page_of({"cells": cells}, "x")[0]


def test_text_is_kept_and_code_is_a_python_block():
    text = cell(["# A title\n", "\n", "Text."], kind="markdown")
    assert shown(text, cell("1 + 1")) == "# A title\n\nText.\n\n```python\n1 + 1\n```\n"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"text": ["one\n", "two\n"]}, '```text title="Output"\none\ntwo\n```'),
        ({"data": {"text/plain": "[1]"}}, '```text title="Output"\n[1]\n```'),
        ({"data": {"text/plain": "…", "text/markdown": "| a |"}}, "| a |"),
        ({"data": {"text/plain": "…", "text/html": "<b>1</b>"}}, "<b>1</b>"),
        ({"text": "\n"}, ""),
    ],
)
def test_an_output_follows_its_code(output, expected):
    assert shown(cell("run()", output)).strip() == f"```python\nrun()\n```\n\n{expected}".strip()


def test_a_table_has_the_style_of_the_site():
    html = '<style scoped>\n.a {}\n</style><table border="1" class="dataframe"><tr style="x"><td>1'
    assert "<table><tr><td>1" in shown(cell("frame", {"data": {"text/html": html}}))


def test_pictures_are_files():
    pictures = [{"data": {"image/png": base64.b64encode(bytes([n])).decode()}} for n in (1, 2)]
    text, files = page_of({"cells": [cell("draw()", *pictures)]}, "plot")
    assert files == {"plot_1.png": b"\1", "plot_2.png": b"\2"}
    assert all(f"]({name})" in text for name in files)


def test_code_that_contains_a_fence_stays_in_its_block():
    assert shown(cell('"""\n```python\n"""')).startswith("````python\n")
