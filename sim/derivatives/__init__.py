"""How results change with their inputs, and which inputs reach a result."""
