"""What can go wrong, by name: every error is a `PhyMotionError` and the builtin one expects."""

from enum import IntEnum


class Status(IntEnum):
    """Why a clip could, or could not, be scored. The lower-case name is what tables show."""

    OK = 0
    EMPTY = 1
    """No frames at all."""
    TOO_SHORT = 2
    """Fewer frames than an acceleration needs."""
    TOO_LONG = 3
    """More frames than the largest bucket holds."""
    BAD_FPS = 4
    """A frame rate that is none, that no motion is captured at, or two in one file that differ."""
    FPS_UNKNOWN = 5
    """The file does not say its frame rate, and none was given."""
    BAD_SHAPE = 6
    """An array has the wrong shape or type."""
    NOT_FINITE = 7
    """NaN or infinity on a real frame."""
    BAD_ROTATION = 8
    """A quaternion without direction, or a rotation vector of absurd length."""
    BAD_UNITS = 9
    """Numbers that cannot be metres, standard deviations, kilograms or probabilities."""
    UNREADABLE = 10
    """The file is damaged or is not of a known kind."""
    UNSAFE = 11
    """The file holds pickled code; it was not executed."""
    MISSING = 12
    """There is no such file."""
    GAP = 13
    """A mask with padding before or between real frames."""

    @property
    def label(self) -> str:
        """The name as it stands in a table."""
        return self.name.lower()


class PhyMotionError(Exception):
    """Base of every error raised here on purpose."""


class MotionError(PhyMotionError, ValueError):
    """A clip that cannot be scored: in a batch it becomes a row with this status and reason."""

    def __init__(self, status: Status, reason: str):
        """Keep the code beside the sentence that a user reads."""
        super().__init__(reason)
        self.status = status
        self.reason = reason

    def __reduce__(self):
        """Both, where one is sent between processes."""
        return type(self), (self.status, self.reason)


class UnknownNameError(PhyMotionError, KeyError):
    """A name that is not among those there are; the message lists them."""

    def __init__(self, kind: str, name: str, known: tuple[str, ...]):
        """Say what was asked for and what there is."""
        shown = map(repr, known) if any("," in each for each in known) else known
        super().__init__(f"no {kind} {name!r}; there are {', '.join(shown)}")

    def __str__(self) -> str:
        """The message as a sentence: KeyError would print it in quotes."""
        return str(self.args[0])


class ModelError(PhyMotionError, ValueError):
    """A body or MJCF file that this program cannot represent."""


class BodyNotFoundError(ModelError, FileNotFoundError):
    """There is no file of that body; the message lists where was looked."""


class UsageError(PhyMotionError, ValueError):
    """Something on the command line that cannot be done."""


class OutputError(PhyMotionError, ValueError):
    """A table that cannot be written where it was asked for."""
