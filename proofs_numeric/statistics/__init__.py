"""Bayesian networks and ensembles: exact laws held against simulation, with bands whose level stands before the run."""
