"""Counts what the matrix of models, wrappings and layers has checked, for the end of the report."""

import pytest

CASES = pytest.StashKey[dict]()


def pytest_configure(config):
    config.stash[CASES] = {}


@pytest.fixture
def matrix_cases(request):
    """(model, wrapping) -> how many layers were checked."""
    return request.config.stash[CASES]


def pytest_terminal_summary(terminalreporter, config):
    cases = config.stash.get(CASES, {})
    if cases:
        models = len({model for model, _ in cases})
        wrappings = len({wrapping for _, wrapping in cases})
        terminalreporter.write_line(
            f"Taps checked: {sum(cases.values()):,} (model, wrapping, layer) cases, "
            f"of {models} models in {wrappings} wrappings."
        )
