"""Publishes a run on the Hub: a commit and a tag for each epoch, `main` at the best one, and a card.

python train/publish.py runs/smile user/smile
python train/publish.py runs/smile user/smile --epochs 5,10,20 --dtype fp16 --private
python train/publish.py runs/smile user/smile --dry-run

Of an installed package the same is `cyclegan-hub publish`.
"""

from __future__ import annotations

import sys

from cyclegan_hub.publishing.command import main

if __name__ == "__main__":
    sys.exit(main())
