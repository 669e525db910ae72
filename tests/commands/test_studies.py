"""What the commands that run many scenarios share."""

import os
import signal

import pytest

from basis_pipeline.commands.studies import interruption


class Last:
    """Something during whose end a person presses Ctrl-C."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(1000))  # the signal is heard here, and what it raises is dropped here


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interruption_that_a_destructor_swallows_is_not_lost() -> None:
    """Dask's futures end in destructors, piece after piece."""
    before = signal.getsignal(signal.SIGINT)
    with interruption() as interrupted:
        assert not interrupted()
        Last()
        assert interrupted()
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interruption_is_raised_where_it_can_be() -> None:
    """As without it."""
    with pytest.raises(KeyboardInterrupt), interruption():
        signal.raise_signal(signal.SIGINT)
