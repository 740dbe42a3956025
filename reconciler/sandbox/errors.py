"""What can go wrong in the sandbox itself. Each text says what happened, to what, and what to do.

SandboxError
├── NotOurs         the directory holds what we did not make, or another sandbox runs in it
├── KeyFileError    a kept key cannot be used
├── BookFull        as many trades as it will hold
├── TooManyCertificates  as many platform certificates as it will issue
├── NotAScript      what was sent to the control endpoint cannot be played
└── DaemonFailed    the daemon, or a command of it, did not do what the demo asked
"""


class SandboxError(Exception):
    """The sandbox cannot go on."""


class NotOurs(SandboxError):
    """The directory holds something that we did not make, or another sandbox runs in it."""


class KeyFileError(SandboxError):
    """A key file cannot be used."""


class BookFull(SandboxError):
    """The sandbox holds as many trades as it will."""


class TooManyCertificates(SandboxError):
    """The sandbox has issued as many platform certificates as it will."""


class NotAScript(SandboxError):
    """What was sent to the control endpoint cannot be played."""


class DaemonFailed(SandboxError):
    """The daemon, or a command of it, did not do what was asked."""
