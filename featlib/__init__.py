"""featlib: see what a convolutional network sees.

Pick any layer of a Keras model, look at its feature maps, turn it into vectors, project and probe them.
Names are imported when first used, so `import featlib` is quick; `__init__.pyi` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
