"""`xaipipe demo`."""


def demo() -> None:
    """Demo."""
