"""What `import featlib` offers."""

import os
import platform
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


@pytest.mark.parametrize(("wanted", "found"), [(None, "1"), ("0", "0")])
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN is for x86 processors")
def test_tensorflow_uses_onednn_unless_the_user_says_otherwise(wanted, found):
    name = "TF_ENABLE_ONEDNN_OPTS"
    environment = {key: value for key, value in os.environ.items() if key != name} | ({name: wanted} if wanted else {})
    code = f"import featlib, os; print(os.environ['{name}'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == found


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="load_bakbone"):
        featlib.load_bakbone  # noqa: B018
