"""The configuration, as typed models: `load()` a file, or learn all that is wrong with it in one ConfigurationError."""

from reconciler.settings.channel import ChannelSettings
from reconciler.settings.load import load, parse
from reconciler.settings.model import Settings
from reconciler.settings.problems import ConfigurationError, Problem
from reconciler.settings.show import as_dict, as_toml

__all__ = ["ChannelSettings", "ConfigurationError", "Problem", "Settings", "as_dict", "as_toml", "load", "parse"]
