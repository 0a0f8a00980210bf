"""What is written on a terminal is what was said."""

import pytest
from rich.text import Text

from parley_cli.screen import Screen


@pytest.mark.parametrize("line", ["/music/:x:/a.wav", "[red]ten[/red] :smile:", "x" * 300, "안녕하세요"])
def test_a_line_comes_out_as_it_went_in(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()

    screen.say(line)
    screen.say(Text(line), end="")

    assert capsys.readouterr().out == f"{line}\n{line}"
