"""The fake model passes the suite of the real one."""

import pytest

from parley_testkit.language_model_suite import LanguageModelSuite
from parley_testkit.scripted_model import ScriptedModel

pytestmark = pytest.mark.looptime


class TestScriptedModel(LanguageModelSuite):
    @pytest.fixture
    def model(self) -> ScriptedModel:
        return ScriptedModel("One, two, three.")
