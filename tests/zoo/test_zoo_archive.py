"""Tarballs that are damaged, or made to do harm."""

import gzip
import hashlib
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo_world import FILES, TOP, add, gzipped, tarball

from odbench.errors import ZooError
from odbench.zoo.archive import checked_name, unpack
from odbench.zoo.limits import Limits

LIMITS = Limits(max_bytes=2**20, max_members=50)  # 4 MiB unpacked


def unpacked_from(content, folder, limits=LIMITS):
    folder.mkdir()
    archive = folder / "x.tar.gz"
    archive.write_bytes(content)
    (folder / "out").mkdir()
    return unpack(archive, folder / "out", limits)


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_a_good_tarball_is_unpacked_and_hashed(tmp_path, mode):
    def folders(tar):
        add(tar, f"{TOP}/empty", type=tarfile.DIRTYPE)

    written = unpacked_from(tarball(extra=folders, mode=mode), tmp_path / "a")
    out = tmp_path / "a" / "out"
    assert {path: (out / path).read_bytes() for path in written} == {
        f"{TOP}/{name}": content for name, content in FILES.items()
    }
    assert all((out / path).stat().st_size == file.bytes for path, file in written.items())
    assert (out / TOP / "empty").is_dir()
    for path, file in written.items():
        assert file.sha256 == hashlib.sha256((out / path).read_bytes()).hexdigest()
    modes = {(out / path).stat().st_mode & 0o111 for path in written}
    assert modes == {0}


def member(name, content=b"", **fields):
    return lambda tar: add(tar, name, content, **fields)


def many(count):
    def extra(tar):
        for number in range(count):
            add(tar, f"{TOP}/many/{number}")

    return extra


def pax(value):
    def extra(tar):
        info = tarfile.TarInfo(f"{TOP}/long")
        info.pax_headers = {"comment": value}
        tar.addfile(info)

    return extra


def sparse(tar):
    info = tarfile.TarInfo(f"{TOP}/sparse")
    info.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[483:495] = b"%011o\0" % 2**32  # of the whole file, once its holes are filled
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    tar.fileobj.write(bytes(block))
    tar.offset += len(block)


NAME, KIND, AGAIN = "a member's name", "a member is refused", "two members of one name"

MALICIOUS = {
    "parent": (NAME, member("../evil", b"x")),
    "parent inside": (NAME, member(f"{TOP}/../../evil", b"x")),
    "parent folder": (NAME, member("../evil", type=tarfile.DIRTYPE)),
    "backslash": (NAME, member("..\\evil", b"x")),
    "newline": (NAME, member(f"{TOP}/a\nb", b"x")),
    "escape": (NAME, member(f"{TOP}/a\x1b[2Jb", b"x")),
    "not unicode": (NAME, member(f"{TOP}/a\udcff", b"x")),
    "deep": (NAME, member("a/" * 30 + "b", b"x")),
    "long": (NAME, member(f"{TOP}/{'a' * 300}", b"x")),
    "symlink": (KIND, member(f"{TOP}/l", type=tarfile.SYMTYPE, linkname="pipeline.config")),
    "symlink out": (KIND, member(f"{TOP}/l", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "hardlink": (KIND, member(f"{TOP}/l", type=tarfile.LNKTYPE, linkname=f"{TOP}/pipeline.config")),
    "hardlink out": (KIND, member(f"{TOP}/l", type=tarfile.LNKTYPE, linkname="../../etc/passwd")),
    "character device": (KIND, member(f"{TOP}/d", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "block device": (KIND, member(f"{TOP}/d", type=tarfile.BLKTYPE, devmajor=8)),
    "pipe": (KIND, member(f"{TOP}/p", type=tarfile.FIFOTYPE)),
    "sparse": (KIND, sparse),
    "unknown kind": (KIND, member(f"{TOP}/k", type=b"Z")),
    "twice": (AGAIN, member(f"{TOP}/pipeline.config", b"other")),
    "file in a file": (AGAIN, member(f"{TOP}/pipeline.config/x", b"x")),
    "file for a folder": (AGAIN, member(f"{TOP}/checkpoint", b"x")),
    "folder for a file": (AGAIN, member(f"{TOP}/pipeline.config", type=tarfile.DIRTYPE)),
    "too many": ("too many members", many(60)),
    "long header": ("too long a header", pax("x" * 200_000)),
}


@pytest.mark.parametrize("what", MALICIOUS)
def test_a_malicious_member_is_refused(tmp_path, what):
    reason, extra = MALICIOUS[what]
    with pytest.raises(ZooError, match=rf"x\.tar\.gz: the tarball is refused: {reason}"):
        unpacked_from(tarball(extra=extra), tmp_path / "a")
    out = tmp_path / "a" / "out"
    there = {f"a/out/{path}" for path in everything(out)}
    assert set(everything(tmp_path)) == {"a", "a/x.tar.gz", "a/out"} | there
    assert all(p.is_dir() or (p.is_file() and not p.is_symlink()) for p in out.rglob("*"))
    assert (out / TOP / "pipeline.config").read_bytes() == FILES["pipeline.config"]
    assert (out / TOP / "pipeline.config").stat().st_nlink == 1


def test_an_absolute_name_is_refused(tmp_path):
    evil = tmp_path / "evil"
    with pytest.raises(ZooError, match="a member's name is refused"):
        unpacked_from(tarball(extra=member(str(evil), b"x")), tmp_path / "a")
    assert not evil.exists()


@pytest.mark.parametrize("outer", [lambda content: content, gzipped])
def test_a_bomb_stops_at_the_limit(tmp_path, outer):
    content = outer(tarball({"bomb": bytes(50 * 2**20)}, mode="w:gz"))
    assert len(content) < 10**5
    with pytest.raises(ZooError):  # twice packed it is no tarball at all
        unpacked_from(content, tmp_path / "a")
    size = sum(path.stat().st_size for path in (tmp_path / "a" / "out").rglob("*"))
    assert size <= LIMITS.max_unpacked_bytes


def test_zeros_after_the_end_are_a_bomb_too(tmp_path):
    content = gzip.decompress(tarball()) + bytes(50 * 2**20)
    with pytest.raises(ZooError, match="it unpacks to too much"):
        unpacked_from(gzipped(content), tmp_path / "a")


def test_a_size_that_is_not_there_is_no_bomb(tmp_path):
    def lying(tar):
        info = tarfile.TarInfo(f"{TOP}/huge")
        info.size = 2**60
        info.tobuf(tarfile.GNU_FORMAT)
        tar.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))
        tar.offset += 512

    with pytest.raises(ZooError):
        unpacked_from(tarball(extra=lying), tmp_path / "a")


def test_damaged_tarballs_are_told(tmp_path):
    whole = tarball()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    bad = {
        "cut": whole[:middle],
        "cut at the end": whole[:-4],
        "flipped": flipped,
        "checksum": whole[:-8] + b"\0\0\0\0" + whole[-4:],
        "empty": b"",
        "page": b"<html>Not found</html>" * 100,
        "gzip of a page": gzipped(b"<html>Not found</html>" * 100),
        "cut tar": gzipped(gzip.decompress(whole)[:100_000]),
    }
    for name, content in bad.items():
        with pytest.raises(ZooError, match="not a whole tarball"):
            unpacked_from(content, tmp_path / name)


names = st.text(st.characters(codec="utf-8"), max_size=40) | st.lists(
    st.sampled_from(["..", ".", "a", "b", "", "~", "C:", "\\", "…"]), max_size=6
).map("/".join)


@settings(max_examples=80, deadline=None)
@given(name=names)
def test_a_name_stays_inside_or_is_refused(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("name") / "a"
    try:
        content = tarball({"one": b"1"}, top="", extra=member(name, b"x"))
    except ValueError:  # tar itself cannot write it
        return
    try:
        written = unpacked_from(content, folder)
    except ZooError:
        written = {}
    inside = everything(folder / "out")
    assert set(everything(folder)) == {"out", "x.tar.gz", *(f"out/{path}" for path in inside)}
    assert everything(folder.parent)[0] == "a"
    assert set(written) <= set(inside)
    for path in written:
        assert checked_name(path).as_posix() == path


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_tar_does_more_than_be_told(tmp_path_factory, data):
    plain = bytearray(tarball({"a": b"1" * 600, "b/c": b"2"}, mode="w")[:4096])
    for _ in range(data.draw(st.integers(1, 4))):
        plain[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
    for start in range(0, len(plain), 512):  # checksums right: damage gets past the first check
        block = plain[start : start + 512]
        if data.draw(st.booleans()) and any(block):
            block[148:156] = b" " * 8
            plain[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    folder = tmp_path_factory.mktemp("tar") / "a"
    try:
        written = unpacked_from(bytes(plain), folder)
    except ZooError:
        written = {}
    assert all((folder / "out" / path).is_file() for path in written)
    total = sum(p.stat().st_size for p in (folder / "out").rglob("*") if p.is_file())
    assert total <= LIMITS.max_unpacked_bytes


@pytest.mark.parametrize("name", ["", "/", "/a", "..", "a/../b", "a\\b", "a\0b", "x" * 256])
def test_refused_names(name):
    with pytest.raises(ZooError):
        checked_name(name)


def test_accepted_names():
    assert checked_name("./a//b/./c").as_posix() == "a/b/c"
    assert checked_name("größe/…").as_posix() == "größe/…"
