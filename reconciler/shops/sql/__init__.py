"""A shop whose orders are one mapped table (and, where it makes several, whose attempts are another).

Values are bound, identifiers are quoted, and the only text of the operator's that runs is `where`.
"""

from reconciler.shops.sql.mapping import (
    AttemptsMapping,
    MappingError,
    OrdersMapping,
    ShopMapping,
    States,
    StateValue,
)
from reconciler.shops.sql.shop import SqlShop, open_shop

__all__ = [
    "AttemptsMapping",
    "MappingError",
    "OrdersMapping",
    "ShopMapping",
    "SqlShop",
    "StateValue",
    "States",
    "open_shop",
]
