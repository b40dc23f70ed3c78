"""The scripts of the page: Vega-Embed for the figures, and our own."""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.metadata import version
from pathlib import Path

from odbench.user_cache import default_cache_dir

OWN = ("table.js", "figures.js")
TEMPLATES = Path(__file__).parent / "templates"


def figure_library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script without imports, about 0.9 MB.

    Putting it together takes seconds, so it is kept in the cache, by the version of its maker.
    """
    path = default_cache_dir() / "page" / f"vega-{version('vl-convert-python')}.js"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    import vl_convert

    text = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError:
        pass  # a cache that cannot be written to costs time and nothing else
    return text


def own_script(name: str) -> str:
    """One of :data:`OWN`."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def style() -> str:
    """The style sheet."""
    return (TEMPLATES / "page.css").read_text(encoding="utf-8")


def inline(script: str) -> str:
    """Write a script so that nothing in it ends the element that it stands in.

    ``</script`` and ``<!--`` occur in strings and regular expressions only, where a backslash
    before the second character changes nothing.
    """
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def policy(scripts: list[str]) -> str:
    """The Content-Security-Policy: these scripts alone, and no connection to anywhere.

    Figures set styles as they draw, which no hash can name beforehand.
    """
    allowed = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'none'; form-action 'none'; base-uri 'none'"
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
