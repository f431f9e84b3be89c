"""Settings: one frozen ``Config``, read once at start from every place they may stand."""

from workerd.config.load import Layers, config_file, load_layers
from workerd.config.model import Config, Drain, PoolConfig, default_size

__all__ = ["Config", "Drain", "Layers", "PoolConfig", "config_file", "default_size", "load_layers"]
