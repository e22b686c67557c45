"""The dealers' book as functions of time and price."""
