"""Text from outside: what the details of an error give away."""

from __future__ import annotations

import pytest

from featlib.ui.text import ROOT, shorten_paths


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f'  File "{ROOT}featlib/ui/frame.py", line 3, in page', '  File "featlib/ui/frame.py", line 3, in page'),
        ('  File "/usr/lib/python3.11/queue.py", line 3', '  File "…/queue.py", line 3'),
        ("[Errno 13] Permission denied: '/srv/my photos/a.png'", "[Errno 13] Permission denied: '…/a.png'"),
        ("File not found: filepath=/srv/models/pets.keras.", "File not found: filepath=…/pets.keras."),
        ("opening (/srv/models/pets.keras)", "opening (…/pets.keras)"),
        (r"C:\Users\ann\a.png", "…/a.png"),
        ("    y = a / b / c // d", "    y = a / b / c // d"),
        ("    return values[0]/2/n", "    return values[0]/2/n"),
        ("no/absolute/path.png", "no/absolute/path.png"),
    ],
)
def test_details_of_an_error_name_no_folder_of_this_machine(text, shown):
    assert shorten_paths(text) == shown
