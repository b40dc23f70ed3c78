import pytest
from hypothesis import given
from hypothesis import strategies as st

from odbench.tracking.masking import mask

PLAIN = [
    "sqlite:////home/me@work/runs/mlflow.db",
    "http://127.0.0.1:5000",
    "https://mlflow.example.com/team/x",
    "file:///data/a@b",
    "write to me@example.com",
]


@pytest.mark.parametrize("text", PLAIN)
def test_addresses_without_credentials_stay(text):
    assert mask(text, text) == text


def test_user_and_password_go_and_the_host_stays():
    uri = "https://anna:hunter22@mlflow.example.com:5000/x"
    assert mask(uri, uri) == "https://***@mlflow.example.com:5000/x"


def test_password_in_the_query_goes():
    uri = "postgresql://db.example.com/runs?user=anna&password=hunter22&sslmode=require"
    masked = mask(uri, uri)
    assert "hunter22" not in masked
    assert masked.endswith("&sslmode=require")


def test_password_that_an_error_decoded_goes():
    uri = "postgresql://anna:hunter%2F22@db.example.com/runs"
    assert "22" not in mask("password hunter/22 refused for anna", uri)


def test_other_addresses_in_a_text_are_masked_without_knowing_them():
    assert mask("see http://u:pw@h/x and ftp://v@i") == "see http://***@h/x and ftp://***@i"


def test_password_with_a_quote_or_a_blank_goes():
    uri = "http://anna:pass'wo rd@host/x"
    assert "wo rd" not in mask(f"cannot reach {uri}", uri)


@given(
    user=st.text("abcXYZ019._-", min_size=1, max_size=10),
    password=st.text(st.characters(codec="utf-8", exclude_characters="/@"), min_size=4),
)
def test_no_password_survives(user, password):
    uri = f"http://{user}:{password}@host.example/path"
    assert mask(f"<{uri}>", uri) == "<http://***@host.example/path>"
