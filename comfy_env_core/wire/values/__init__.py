"""What travels by value, and how: the type table, classes both sides have, arrays, tensors, pictures."""
