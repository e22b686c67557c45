"""The risk of a portfolio under a scenario."""
