"""Names under which flows are deployed, for those who start them; importing it costs nothing."""

from typing import Final

COPY_DEPLOYMENT: Final = "copy-trading/leaders"
