"""The contract's assertions explain themselves like those of a test file, though they are shipped elsewhere."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("streamer.testing.state_contract")
