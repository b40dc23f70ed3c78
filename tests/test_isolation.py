import pytest

from odbench.isolation import child_environment


@pytest.mark.parametrize(
    ("device", "shown", "expected"),
    [
        ("cpu", None, "-1"),
        ("cpu", "2", "-1"),
        ("gpu:3", None, "3"),
        ("gpu:3", "1,2", "3"),
        ("auto", None, "0"),
        ("auto", "5,6", "5"),
        ("auto", "-1", "-1"),
    ],
)
def test_a_child_sees_one_gpu_at_the_most(monkeypatch, device, shown, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    environment = child_environment(device, 9)
    assert environment["CUDA_VISIBLE_DEVICES"] == expected
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
