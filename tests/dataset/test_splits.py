from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odbench.dataset.source import PoolEntry
from odbench.dataset.splits import overlaps, split_pool

QUICK = settings(deadline=None, max_examples=150)
LABELS = st.lists(st.sampled_from("abcdef"), max_size=3, unique=True).map(tuple)
FRACTIONS = st.floats(0.05, 0.6)


@st.composite
def pools(draw, labels=LABELS, min_size=2):
    """Pictures, some of them of the same content."""
    listed = draw(st.lists(st.tuples(labels, st.integers(0, 200)), min_size=min_size, max_size=60))
    return [
        PoolEntry(f"{i:03d}.jpg", labels, str(content))
        for i, (labels, content) in enumerate(listed)
    ]


def units(entries) -> dict[str, set[str]]:
    """Labels by content."""
    found: dict[str, set[str]] = {}
    for entry in entries:
        found.setdefault(entry.digest, set()).update(entry.labels)
    return found


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
@given(pools(st.sampled_from([("a",), ("b",), ("c",), ()])), FRACTIONS, st.integers(0, 5))
def test_a_class_in_two_pictures_is_on_both_sides(entries, fraction, seed):
    """Of pictures with one class there is always a way."""
    splits = split_pool(entries, fraction, seed)
    labels = units(entries)
    content = {entry.key: entry.digest for entry in entries}
    if any(len(found) > 1 for found in labels.values()):
        return  # of the same content and several classes
    for name, count in Counter(n for found in labels.values() for n in found).items():
        if count > 1:
            assert all(any(name in labels[content[k]] for k in keys) for keys in splits.values())


@QUICK
@given(pools(), FRACTIONS, st.integers(0, 5))
def test_the_share_is_near_what_was_asked(entries, fraction, seed):
    """Off by at most one picture for each class and the largest group of equal pictures."""
    held_out = len(split_pool(entries, fraction, seed)["val"])
    largest = max(Counter(entry.digest for entry in entries).values())
    classes = len({name for entry in entries for name in entry.labels})
    assert abs(held_out - len(entries) * fraction) <= classes + largest + 1


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

    entries = {
        "train": [entry("train/1.jpg", "x"), entry("train/2.jpg", "y")],
        "val": [entry("val/9.jpg", "x")],
    }
    (found,) = overlaps(entries)
    assert (found.kind, found.where) == ("train_val_overlap", "train/1.jpg")
    assert "val/9.jpg" in found.value
    assert overlaps({"train": entries["train"], "val": []}) == []
