import importlib.metadata
import inspect

import pytest

import dropkit


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in dropkit.__all__:
        value = getattr(dropkit, name)
        assert isinstance(value, int) or inspect.getdoc(value), name


def test_the_version_is_the_packages() -> None:
    assert dropkit.__version__ == importlib.metadata.version("dropkit")


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'dropkit' has no attribute 'dropout'"):
        _ = dropkit.dropout
