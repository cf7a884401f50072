"""Says at the end of the report what the matrix of models, wrappings and layers has checked."""


def pytest_terminal_summary(terminalreporter):
    passed = terminalreporter.stats.get("passed", [])
    models = [dict(report.user_properties)["taps"] for report in passed if "taps" in dict(report.user_properties)]
    if models:
        wrappings = {wrapping for counts in models for wrapping in counts}
        cases = sum(sum(counts.values()) for counts in models)
        terminalreporter.write_line(
            f"Taps checked: {cases:,} (model, wrapping, layer) cases, "
            f"of {len(models)} models in {len(wrappings)} wrappings."
        )
