"""featlib: see what a convolutional network sees.

Pick any layer of a Keras model, look at its feature maps, turn it into vectors, project and probe them.
Names are imported when first used, so `import featlib` is quick; `__init__.pyi` lists them.
"""

import os
import platform

import lazy_loader

# TensorFlow uses its fast convolutions (oneDNN) by default only on processors with AVX-512; with AVX2 alone they halve
# the time of a forward pass too. It reads this when it is imported.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
