"""The trained baselines of the paper's Tables 1 and 2, written from their papers; `models.py` lists their networks."""
