"""For all tests: assertions of the suites that the testkit shares explain themselves, as those of a test file do."""

import pytest

pytest.register_assert_rewrite(
    "parley_testkit.bus_suite", "parley_testkit.language_model_suite", "parley_testkit.transcriber_suite"
)
