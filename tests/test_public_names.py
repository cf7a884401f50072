"""What `import featlib` offers."""

import subprocess
import sys

import pytest

import featlib


@pytest.mark.parametrize("name", featlib.__all__)
def test_every_public_name_is_there_and_documented(name):
    found = getattr(featlib, name)
    assert name == "__version__" or found.__doc__


def test_nothing_is_imported_before_it_is_used():
    code = "import featlib, sys; print([name for name in sys.modules if name.startswith('featlib.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="load_bakbone"):
        featlib.load_bakbone  # noqa: B018
