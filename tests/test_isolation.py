from odbench.isolation import child_environment


def test_a_child_sees_the_gpu_that_is_its_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    environment = child_environment("2", 9)
    assert environment["CUDA_VISIBLE_DEVICES"] == "2"
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
