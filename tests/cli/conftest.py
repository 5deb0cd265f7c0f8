"""What every test of the command line uses."""

import sys

import pytest

from emgpose.cli import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line in this process; gives (exit code, stdout, stderr)."""

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["emgpose", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return int(exit_.value.code or 0), captured.out, captured.err

    return command
