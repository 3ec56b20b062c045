"""Models with ReLUs: where neural collapse is optimal behind them, where it is not, and a network with data."""
