"""What every chain promises, a function each: it returns words on what it saw, or raises `BrokenPromiseError`."""
