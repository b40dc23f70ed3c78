import posixpath
import re

from hypothesis import given
from hypothesis import strategies as st

from odbench.evaluation.names import COCO_METRICS, MAX_KEY_LENGTH, class_ap_keys


def test_twelve_metrics_in_the_order_of_cocoeval():
    assert len(set(COCO_METRICS)) == 12
    assert COCO_METRICS[0] == "AP"
    assert COCO_METRICS[3:6] == ("AP_small", "AP_medium", "AP_large")
    assert COCO_METRICS[6:9] == ("AR1", "AR10", "AR100")


def test_legal_name_is_kept():
    assert class_ap_keys(["traffic light", "犬"]) == {
        "traffic light": "eval/AP_class/traffic light",
        "犬": "eval/AP_class/犬",
    }


def test_alike_names_get_numbers_whatever_their_order():
    names = ["a/b", "a_b", "a:b", "a_b_2"]
    keys = class_ap_keys(names)
    assert keys == {
        "a/b": "eval/AP_class/a_b_3",
        "a_b": "eval/AP_class/a_b",
        "a:b": "eval/AP_class/a_b_4",
        "a_b_2": "eval/AP_class/a_b_2",
    }
    assert list(keys) == names
    assert class_ap_keys(names[::-1]) == keys


def test_names_that_are_no_path_of_their_own():
    assert set(class_ap_keys(["..", ".", ""]).values()) == {
        "eval/AP_class/__",
        "eval/AP_class/_",
        "eval/AP_class/__2",
    }


# The rules of MLflow 3: letters of any script, digits, _ - . / and space; a path that stays as it
# is when normalised; a greatest length.
@given(st.lists(st.one_of(st.text(max_size=6), st.text("a/.:", max_size=4)), max_size=12))
def test_every_key_is_legal_and_of_its_own(names):
    keys = class_ap_keys(names)
    assert set(keys) == set(names)
    assert len(set(keys.values())) == len(keys)
    for key in keys.values():
        assert re.fullmatch(r"[\w\-. /]+", key)
        assert posixpath.normpath(key) == key
        assert len(key) <= MAX_KEY_LENGTH


def test_long_names_stay_within_the_limit_and_apart():
    keys = class_ap_keys(["x" * 400, "x" * 401])
    assert len(set(keys.values())) == 2
    assert all(len(key) <= MAX_KEY_LENGTH for key in keys.values())
