Output = from_torch = to_torch = None
