"""Checkpoints as TensorFlow lays them out, written without it: an index and a file of zeros."""

import struct

MAGIC = 0xDB4775248B80FB57
SSD = "model/_feature_extractor/backbone/kernel/.ATTRIBUTES/VARIABLE_VALUE"
FASTER_RCNN = "model/_feature_extractor_for_proposal_features/kernel/.ATTRIBUTES/VARIABLE_VALUE"
BACKBONE = "feature_extractor/layer-0/kernel/.ATTRIBUTES/VARIABLE_VALUE"


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries):
    """A block whose keys leave out what they share with the one before, and its trailer."""
    data, last = b"", b""
    for key, value in entries:
        shared = 0
        while shared < min(len(key), len(last)) and key[shared] == last[shared]:
            shared += 1
        data += varint(shared) + varint(len(key) - shared) + varint(len(value))
        data += key[shared:] + value
        last = key
    return data + struct.pack("<II", 0, 1) + b"\0" + b"\0\0\0\0"


def tensor(shape, offset):
    dims = b"".join(field(2, field(1, size)) for size in shape)
    count = 1
    for size in shape:
        count *= size
    crc = varint(6 << 3 | 5) + b"\1\2\3\4"
    body = field(1, 1) + field(2, dims) + field(4, offset) + field(5, 4 * count) + crc
    return body, 4 * count


def write_checkpoint(prefix, tensors, *, object_based=True, blocks=2):
    """Write ``PREFIX.index`` and its data file: tensors by name, with their shape."""
    names = {**tensors, **({"_CHECKPOINTABLE_OBJECT_GRAPH": ()} if object_based else {})}
    entries, offset = [(b"", field(1, 1))], 0
    for name in sorted(names):
        body, size = tensor(names[name], offset)
        entries.append((name.encode(), body))
        offset += size
    raw, handles = b"", []
    share = -(-len(entries) // blocks)
    for start in range(0, len(entries), share):
        part = entries[start : start + share]
        data = block(part)
        handles.append((part[-1][0] + b"~", varint(len(raw)) + varint(len(data) - 5)))
        raw += data
    index = block(handles)
    footer = varint(0) + varint(0) + varint(len(raw)) + varint(len(index) - 5)
    raw += index + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    prefix.with_name(prefix.name + ".index").write_bytes(raw)
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(bytes(offset))
    return prefix
