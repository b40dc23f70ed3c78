"""``pipeline.config`` read tolerantly: every field that the API does not have, and the rest.

protobuf's parser stops at the first unknown field. Here that field is blanked out, lines kept, and
the text is parsed again, until nothing unknown is left: the parser alone judges what is unknown.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from itertools import takewhile
from typing import cast

from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.pipeline.lint_types import LintFinding
from odbench.pipeline.read import OLD_FIELDS

_UNKNOWN = re.compile(r'Message type "[\w.]*?(\w+)" has no field named "(\w+)"')
_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[\w.+-]+|.""", re.VERBOSE
)
_OPEN = {"{": "}", "<": ">", "[": "]"}


@dataclass(frozen=True)
class _Token:
    text: str
    start: int
    end: int


def parse_tolerantly(text: str) -> tuple[TrainEvalPipelineConfig | None, list[LintFinding]]:
    """The message without its unknown fields, and a finding for each of those.

    Args:
        text: Of a ``pipeline.config``.

    Returns:
        No message where the text has another fault than an unknown field; the last finding then
        says which.
    """
    findings: list[LintFinding] = []
    while True:
        try:
            return text_format.Parse(text, TrainEvalPipelineConfig()), findings
        except text_format.ParseError as error:
            unknown = _UNKNOWN.search(str(error))
            if unknown is None:
                return None, [*findings, _fault(error)]
            line = error.GetLine() or 1
            offset = _offset(text, line, error.GetColumn() or 1)
            path = _path_at(text, offset)
            findings.append(_unknown(unknown[1], unknown[2], path, line))
            blanked = _blank(text, offset, _field_end(text, offset))
            if blanked == text:  # nothing left to take away: do not go round for ever
                return None, [*findings, _fault(error)]
            text = blanked


def _fault(error: text_format.ParseError) -> LintFinding:
    what = re.sub(r"^\d+:\d+ : ('.*': )?", "", str(error))
    return LintFinding(
        "text",
        "",
        None,
        f"cannot be read: {what}",
        "correct it: nothing else was checked",
        line=error.GetLine(),
    )


def _unknown(message: str, name: str, path: str, line: int) -> LintFinding:
    kind, fix = OLD_FIELDS.get((message, name), ("", ""))
    if not fix and (homes := _elsewhere(name)):
        fix = f"remove it, or put it where it belongs: {' or '.join(homes)}"
    if not fix:
        owner = _descriptors(path)[-1]
        names = [field.name for field in owner.fields] if owner is not None else []
        near = difflib.get_close_matches(name, names, n=3)
        fix = f"did you mean {' or '.join(near)}?" if near else "remove it"
    what = f"{message} has no field {name}" + (f": {kind} in the API" if kind else "")
    return LintFinding("unknown_field", path, None, what, fix, line=line)


def _elsewhere(name: str) -> list[str]:
    """Messages of the upper two levels that have a field of that name."""
    root = cast(Descriptor, TrainEvalPipelineConfig.DESCRIPTOR)
    fields = [field for field in root.fields if field.message_type is not None]
    if any(field.name == name for field in root.fields):
        return ["the top level"]
    return [
        field.name
        for field in fields
        if name in cast(Descriptor, field.message_type).fields_by_name
    ]


def _descriptors(path: str) -> list[Descriptor | None]:
    """The messages that own each step of a path, None from an unknown one on."""
    owner: Descriptor | None = cast(Descriptor, TrainEvalPipelineConfig.DESCRIPTOR)
    owners = [owner]
    for step in path.split(".")[:-1]:
        name = step.partition("[")[0]
        field = owner.fields_by_name.get(name) if owner is not None else None
        owner = None if field is None else field.message_type
        owners.append(owner)
    return owners


def _tokens(text: str, start: int = 0) -> list[_Token]:
    """Words, strings and punctuation; neither white space nor comments."""
    found = (_Token(m[0], m.start(), m.end()) for m in _TOKEN.finditer(text, start))
    return [token for token in found if not token.text.isspace() and token.text[0] != "#"]


def _offset(text: str, line: int, column: int) -> int:
    """Position in the text of a line and column, both from 1."""
    return sum(len(part) + 1 for part in text.split("\n")[: line - 1]) + column - 1


def _path_at(text: str, offset: int) -> str:
    """The path of the field whose name begins at an offset."""
    steps: list[str] = []
    counts: Counter[str] = Counter()
    before = ""
    for token in _tokens(text):
        if token.start == offset:
            return ".".join([*steps, token.text])
        if token.text in "{<":
            path = ".".join([*steps, before])
            owner = _descriptors(path)[-1]
            field = owner.fields_by_name.get(before) if owner is not None else None
            repeated = field is not None and field.is_repeated
            steps.append(f"{before}[{counts[path]}]" if repeated else before)
            counts[path] += 1
        elif token.text in "}>" and steps:
            steps.pop()
        elif token.text != ":":
            before = token.text
    return ""


def _field_end(text: str, offset: int) -> int:
    """Where the field that begins at an offset ends: its value and the separator after it."""
    name, *rest = _tokens(text, offset)
    count = 1 if rest and rest[0].text == ":" else 0
    count += _value_length(rest[count:])
    if count < len(rest) and rest[count].text in (",", ";"):
        count += 1
    return rest[count - 1].end if count else name.end


def _value_length(tokens: list[_Token]) -> int:
    """How many tokens the value at the front has."""
    if not tokens:
        return 0
    if tokens[0].text in _OPEN:
        depth = 0
        for count, token in enumerate(tokens, start=1):
            depth += (token.text in _OPEN) - (token.text in _OPEN.values())
            if depth == 0:
                return count
        return len(tokens)
    later = takewhile(lambda token: token.text[0] in "\"'", tokens[1:])
    return 1 + sum(1 for _ in later)  # strings side by side are one value


def _blank(text: str, start: int, end: int) -> str:
    """The text with a part of it blanked out, its lines kept."""
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]
