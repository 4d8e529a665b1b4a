"""Each test has a machine of its own."""

import pytest

from machine import Machine


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)
