"""What each step of PyTorch is in definitions. table.py is the table; the rules stand in the files beside it."""
