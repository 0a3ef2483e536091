"""Staff: their accounts, signing in and out."""
