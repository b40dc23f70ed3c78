import pytest
from zoo_world import serving, tarball

from odbench.zoo.address import MIRROR_VARIABLE
from odbench.zoo.take import Taking
from odbench.zoo.transfer import Patience

QUICK = Patience(tries=3, backoff_s=0.0, backoff_max_s=0.0, connect_s=5.0, read_s=20.0)


@pytest.fixture
def cache(tmp_path):
    """A cache folder of the test's own."""
    return tmp_path / "cache"


@pytest.fixture
def zoo(monkeypatch):
    """A server with one model, which is where everything is fetched from."""
    with serving(tarball()) as zoo:
        monkeypatch.setenv(MIRROR_VARIABLE, zoo.address)
        yield zoo


@pytest.fixture
def quick():
    """Fetching without waits between the tries."""
    return lambda **options: Taking(patience=QUICK, **options)
