"""The paper's tables and figures: their rows as data, their numbers, and what stands beside them here."""
