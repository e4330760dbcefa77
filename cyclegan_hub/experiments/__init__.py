"""The sources' own experiments: which trainings each compares, run one after another, and the table that comes out."""
