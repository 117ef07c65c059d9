"""`python -m toastbox`."""

import sys

from toastbox.cli import main

sys.exit(main())
