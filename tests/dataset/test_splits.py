from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odbench.dataset import splits as division
from odbench.dataset.catalogue import Catalogue
from odbench.dataset.source import PoolEntry
from odbench.dataset.splits import overlaps

QUICK = settings(deadline=None, max_examples=50)
LABELS = st.lists(st.sampled_from("abcdef"), max_size=3, unique=True).map(tuple)
FRACTIONS = st.floats(0.05, 0.6)


def catalogue_of(entries) -> Catalogue:
    catalogue = Catalogue()
    assert all(catalogue.add(entry, b"") for entry in entries)
    return catalogue


def split_pool(entries, fraction, seed) -> dict[str, list[str]]:
    keys = division.split_pool(catalogue_of(entries), fraction, seed)
    return {split: list(found) for split, found in keys.items()}


@st.composite
def pools(draw, labels=LABELS, min_size=2):
    """Pictures, some of them of the same content."""
    listed = draw(st.lists(st.tuples(labels, st.integers(0, 200)), min_size=min_size, max_size=60))
    return [
        PoolEntry(f"{i:03d}.jpg", labels, str(content))
        for i, (labels, content) in enumerate(listed)
    ]


def different(listed) -> list[PoolEntry]:
    """A picture for each tuple of labels, none like another."""
    return [PoolEntry(f"{i:03d}.jpg", tuple(labels), str(i)) for i, labels in enumerate(listed)]


@QUICK
@given(pools(min_size=0), FRACTIONS, st.integers(0, 5))
def test_every_picture_is_on_one_side(entries, fraction, seed):
    splits = split_pool(entries, fraction, seed)
    assert set(splits) == {"train", "val"}
    assert sorted(splits["train"] + splits["val"]) == [entry.key for entry in entries]
    assert all(keys == sorted(keys) for keys in splits.values())


@QUICK
@given(pools(), FRACTIONS, st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_of_the_pictures_does_not_matter(entries, fraction, seed, rng):
    mixed = list(entries)
    rng.shuffle(mixed)
    assert split_pool(entries, fraction, seed) == split_pool(mixed, fraction, seed)


@QUICK
@given(pools(), FRACTIONS, st.integers(0, 5))
def test_equal_pictures_stay_together(entries, fraction, seed):
    splits = split_pool(entries, fraction, seed)
    content = {entry.key: entry.digest for entry in entries}
    sides = [{content[key] for key in keys} for keys in splits.values()]
    assert sides[0].isdisjoint(sides[1])
    if len(set(content.values())) > 1:
        assert all(sides)


@QUICK
@given(
    st.lists(st.sampled_from([("a",), ("b",), ("c",), ()]), min_size=2, max_size=60),
    FRACTIONS,
    st.integers(0, 5),
)
def test_a_class_in_two_pictures_is_on_both_sides(listed, fraction, seed):
    """Of different pictures with one class there is always a way, where val has the room."""
    entries = different(listed)
    splits = split_pool(entries, fraction, seed)
    counts = Counter(name for labels in listed for name in labels)
    shared = [name for name, count in counts.items() if count > 1]
    if len(shared) > max(1, 1.25 * len(entries) * fraction):
        return
    labels = {entry.key: entry.labels for entry in entries}
    for keys in splits.values():
        assert set(shared) <= {name for key in keys for name in labels[key]}


@QUICK
@given(pools(), FRACTIONS, st.integers(0, 5))
def test_the_share_is_near_what_was_asked(entries, fraction, seed):
    """Off by a quarter, by a picture, or by half a group of equal pictures at the most."""
    contents = Counter(entry.digest for entry in entries)
    held_out = split_pool(entries, fraction, seed)["val"]
    asked = len(entries) * fraction
    allowed = max(1, 0.25 * asked, max(contents.values()) / 2 + 0.5)
    digests = {entry.key: entry.digest for entry in entries}
    groups = len({digests[key] for key in held_out})
    alone = groups == 1 or groups == len(contents) - 1  # no side is left empty
    assert abs(len(held_out) - asked) <= allowed or alone


@QUICK
@given(st.lists(LABELS, min_size=2, max_size=60), st.floats(0.01, 0.99), st.integers(0, 5))
def test_without_equal_pictures_the_share_is_always_near(listed, fraction, seed):
    held_out = len(split_pool(different(listed), fraction, seed)["val"])
    asked = len(listed) * fraction
    assert abs(held_out - asked) <= max(1, 0.25 * asked)
    assert 1 <= held_out < len(listed)


@QUICK
@given(st.lists(LABELS, min_size=4, max_size=60), st.floats(0.05, 0.4), st.integers(0, 5))
def test_train_lacks_a_class_only_where_val_would_be_too_small(listed, fraction, seed):
    entries = different(listed)
    splits = split_pool(entries, fraction, seed)
    labels = {entry.key: set(entry.labels) for entry in entries}
    trained = {name for key in splits["train"] for name in labels[key]}
    lacking = {name for key in splits["val"] for name in labels[key]} - trained
    least = max(1, math.ceil(len(entries) * fraction - max(1, 0.25 * len(entries) * fraction)))
    assert not lacking or len(splits["val"]) <= least


def test_many_rare_classes_do_not_outvote_the_share():
    """Sixty classes in fifty pictures, three in each."""
    rng = random.Random(3)
    entries = different([tuple(rng.sample(range(60), 3)) for _ in range(50)])
    for fraction, fewest, most in ((0.1, 4, 6), (0.2, 8, 12), (0.3, 12, 18)):
        splits = split_pool(entries, fraction, 0)
        assert fewest <= len(splits["val"]) <= most
        labels = {entry.key: set(entry.labels) for entry in entries}
        trained, seen = (
            {name for key in splits[side] for name in labels[key]} for side in ("train", "val")
        )
        assert seen <= trained
        assert len(seen) >= 2 * len(splits["val"])  # of three in each: few of them twice


def test_a_class_of_one_picture_is_trained_on():
    listed = [("common",)] * 20 + [(f"rare{i}",) for i in range(10)]
    for seed in range(10):
        splits = split_pool(different(listed), 0.2, seed)
        assert {f"{i:03d}.jpg" for i in range(20, 30)} <= set(splits["train"])
        assert 5 <= len(splits["val"]) <= 7


def test_a_large_group_of_equal_pictures_does_not_fill_val():
    entries = [PoolEntry(f"same{i}.jpg", ("a",), "same") for i in range(40)]
    entries += [PoolEntry(f"{i}.jpg", ("a",), str(i)) for i in range(60)]
    for seed in range(10):
        splits = split_pool(entries, 0.2, seed)
        assert 15 <= len(splits["val"]) <= 25
        assert not any(key.startswith("same") for key in splits["val"])


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.35])
@pytest.mark.parametrize("seed", [0, 7])
def test_a_large_set_has_every_class_in_proportion(fraction, seed):
    rng = random.Random(seed)
    weights = {"a": 1.0, "b": 0.5, "c": 0.1, "d": 0.02}
    entries = [
        PoolEntry(f"{i}.jpg", tuple(n for n in weights if rng.random() < weights[n]), str(i))
        for i in range(2000)
    ]
    val = set(split_pool(entries, fraction, seed)["val"])
    assert len(val) == 2000 * fraction
    for name in weights:
        having = [entry.key for entry in entries if name in entry.labels]
        held_out = sum(key in val for key in having)
        assert abs(held_out - fraction * len(having)) <= 1 + 0.01 * len(having)


def test_another_seed_holds_out_other_pictures():
    entries = [PoolEntry(f"{i}.jpg", ("a",), str(i)) for i in range(100)]
    held_out = [tuple(split_pool(entries, 0.2, seed)["val"]) for seed in range(5)]
    assert len(set(held_out)) == 5
    assert {len(keys) for keys in held_out} == {20}


def test_rare_classes_are_held_out_too():
    entries = [PoolEntry(f"{i}.jpg", ("common",), f"c{i}") for i in range(50)]
    entries += [PoolEntry(f"r{i}.jpg", ("rare",), f"r{i}") for i in range(2)]
    splits = split_pool(entries, 0.1, 0)
    assert sum(key.startswith("r") for key in splits["val"]) == 1
    assert 5 <= len(splits["val"]) <= 6


def test_a_picture_on_both_sides_of_a_given_split_is_found():
    def entry(key, digest):
        return PoolEntry(key, ("a",), digest)

    entries = [entry("train/1.jpg", "x"), entry("train/2.jpg", "y"), entry("val/9.jpg", "x")]
    catalogue, keys = catalogue_of(entries), [entry.key for entry in entries]
    (found,) = overlaps(catalogue, {"train": keys[:2], "val": keys[2:]})
    assert (found.kind, found.where) == ("train_val_overlap", "train/1.jpg")
    assert "val/9.jpg" in found.value
    assert overlaps(catalogue, {"train": keys, "val": []}) == []
