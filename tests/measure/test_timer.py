from odbench.measure.timer import Timer


class FakeDevice:
    """A clock, and a device whose work only passes time when it is synchronised."""

    def __init__(self):
        self.now = 0.0
        self.queued = 0.0
        self.calls = []

    def clock(self):
        self.calls.append("clock")
        return self.now

    def sync(self):
        self.calls.append("sync")
        self.now += self.queued
        self.queued = 0.0


def test_step_splits_waiting_from_computing():
    device = FakeDevice()

    def fetch():
        device.now += 2.0
        return "batch"

    def compute(batch):
        device.queued += 5.0  # launched, not finished
        return f"{batch} done"

    device.queued = 100.0  # of an earlier call: must not be counted
    sample = Timer(device.sync, device.clock).step(fetch, compute)
    assert (sample.input_wait_s, sample.compute_s, sample.total_s) == (2.0, 5.0, 7.0)
    assert sample.result == "batch done"
    assert device.calls == ["sync", "clock", "clock", "sync", "clock"]


def test_call_waits_for_the_device():
    device = FakeDevice()

    def work():
        device.queued += 3.0
        return 7

    device.queued = 50.0
    assert Timer(device.sync, device.clock).call(work) == (3.0, 7)
