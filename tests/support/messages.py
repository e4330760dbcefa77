"""The one sentence that a refusal gives."""

from __future__ import annotations

from typing import Any

import pytest

from cyclegan_hub.serving.messages import ServingError


def refusal(action: Any, *arguments: Any, **options: Any) -> str:
    """What a reader is told: one sentence, without a directory and HTML."""
    with pytest.raises(ServingError) as caught:
        action(*arguments, **options)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and "<" not in message and "/tmp" not in message
    return message
