"""What all pages share: sessions, proofs, forms, rendering, errors, static files."""
