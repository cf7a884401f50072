import subprocess
import sys


def test_importing_is_light():
    """Analysis and plots are imported by every page: the heavy libraries wait until they are needed."""
    heavy = "sklearn", "openTSNE", "tensorflow", "keras", "skimage", "streamlit", "scipy"
    code = f"import sys, featlib.analysis, featlib.plots; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_analysis_does_not_import_plotly():
    code = "import sys, featlib.analysis; print('plotly' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
