from __future__ import annotations

import pytest
from dataset_builders import A_BOX, voc_xml
from hypothesis import given, settings
from hypothesis import strategies as st

from odbench.dataset import voc_annotation
from odbench.dataset.types import BoxColumns
from odbench.dataset.voc_annotation import parse_annotation
from odbench.dataset.voc_ordinary import ordinary_annotation
from odbench.errors import DatasetError

XML = """<annotation verified="yes">
\t<folder>in</folder>
\t<filename> a.jpg</filename>
\t<path>C:\\in\\a.jpg</path>
\t<source>
\t\t<database>Unknown</database>
\t</source>
\t<size>
\t\t<width>64</width>
\t\t<height>48</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
\t<object>
\t\t<name>cat </name>
\t\t<pose>Left</pose>
\t\t<truncated>1</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>
\t\t\t<xmin>-1.5</xmin>
\t\t\t<ymin>2</ymin>
\t\t\t<xmax>30.25</xmax>
\t\t\t<ymax>40</ymax>
\t\t</bndbox>
\t</object>
\t<object><name>dog</name><pose></pose><truncated>0</truncated><difficult>1</difficult>
\t\t<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object>
</annotation>
"""


def parsed(data: bytes, quick: bool):
    with pytest.MonkeyPatch.context() as patch:
        if not quick:
            patch.setattr(voc_annotation, "ordinary_annotation", lambda data: None)
        try:
            return parse_annotation("a.xml", data)
        except DatasetError as error:
            return str(error)


@pytest.mark.parametrize("start", ["", '<?xml version="1.0" encoding="utf-8"?>\n'])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_a_usual_file_is_read_as_a_parser_does(start, line):
    data = (start + XML).replace("\n", line).encode()
    assert ordinary_annotation(data) is not None
    assert parsed(data, quick=True) == parsed(data, quick=False)


def test_one_without_a_size_or_objects():
    data = b"<annotation><filename>a.jpg</filename></annotation>"
    assert ordinary_annotation(data) == ("a.jpg", None, BoxColumns.plain(*[[]] * 8))
    assert parsed(data, quick=True) == parsed(data, quick=False)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cat ", "c&amp;t"),
        ("cat ", "k\u00e4tzchen"),
        ("cat ", " "),
        ("<pose>Left", "<!-- a pose --><pose>Left"),
        ("<pose>Left</pose>", "<pose/>"),
        ("-1.5", "1e3"),
        ("-1.5", "1_0"),
        ("<truncated>1", "<truncated>yes"),
        ("</annotation>", "</annotation><annotation/>"),
        ("</annotation>", ""),
        ("<ymin>2</ymin>", "<ymin>2</ymax>"),
        ("<segmented>", "<filename>b.jpg</filename><segmented>"),
        ("\t<folder>", "\x0b<folder>"),
        ("<annotation", "<!DOCTYPE annotation><annotation"),
    ],
)
def test_anything_else_is_left_to_the_parser(old, new):
    data = XML.replace(old, new, 1).encode()
    assert data != XML.encode()
    assert ordinary_annotation(data) is None
    assert parsed(data, quick=True) == parsed(data, quick=False)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_whatever_is_changed_in_a_file_the_two_ways_agree(data):
    body = bytearray(data.draw(st.sampled_from([XML.encode(), voc_xml("a.jpg", [A_BOX])])))
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.sampled_from(b"<>/&;0a .\n\r\t\x0b\x00]!-\xc3"))
    assert parsed(bytes(body), quick=True) == parsed(bytes(body), quick=False)
