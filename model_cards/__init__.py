"""Model card templates (data only)."""
