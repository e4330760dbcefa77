"""How good a model is: features, measures, the protocol, choosing an epoch, tables and the report."""
