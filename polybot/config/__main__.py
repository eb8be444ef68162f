"""Print the page of all settings: ``python -m polybot.config > docs/configuration.md``."""

import sys

from polybot.config.page import configuration_page

if __name__ == "__main__":
    sys.stdout.write(configuration_page())
