"""People who listen, look and read blindly: the page that asks them, and what their answers say."""
