"""From a run folder to a model folder with its card, and on to the Hub."""
